"""Which order an invoice becomes, and which rows are refused, by name."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from api.importing.reading import COLUMNS
from tests.importing.fake_api import FakeApi, problem
from tests.importing.orders_csv import Imported, import_path, row

Write = Callable[..., Path]


async def test_an_invoice_becomes_one_order_of_its_earliest_time(
    write: Write, api: FakeApi
) -> None:
    path = write(
        row("536365", "71053", "LANTERN", 6, "2010-12-01 08:27:00", "3.39", country="EIRE"),
        row("536365", "POST", "POSTAGE", 3, "2010-12-01 08:27:00", "18", country="EIRE"),
        row("536365", "DOT", "DOTCOM POSTAGE", 1, "12-01-2010 08:26", "0.5", country="EIRE"),
        row("536365", "C2", "CARRIAGE", 1, "12-01-2010 08:27", "1.50", country="EIRE"),
        row("536365", "D", "Discount", -1, "12-01-2010 08:27", "2.5", country="EIRE"),
        row("536365", "22086", "", 2, "2010-12-01 08:28:00", "2.55", country="EIRE"),
    )
    imported = await import_path(path, api)
    assert api.orders["536365"].body == {
        "external_reference": "536365",
        "currency": "GBP",
        "customer": {"id": "c-17850"},
        "lines": [
            {"sku": "22086", "name": "22086", "quantity": 2, "unit_price_minor": 255},
            {"sku": "71053", "name": "LANTERN", "quantity": 6, "unit_price_minor": 339},
        ],
        "shipping_minor": 5600,
        "discount_minor": 250,
        "placed_at": "2010-12-01T08:26:00Z",
        "payment": "settled_elsewhere",
        "shipping_address": {"country": "IE"},
    }
    assert imported.report.in_orders.amount == Decimal("78.94")


async def test_rows_of_the_same_sku_and_price_add_up(write: Write, api: FakeApi) -> None:
    path = write(
        row(quantity=1, name="A  CHAIN "),
        row(quantity=2, price="2.5"),
        row(quantity=4, name="B CHAIN"),
        row(quantity=8, name="A CHAIN"),
        row(quantity=16, name=""),
    )
    await import_path(path, api)
    assert api.orders["1"].body["lines"] == [
        {"sku": "22086", "name": "PAPER CHAIN", "quantity": 2, "unit_price_minor": 250},
        {"sku": "22086", "name": "A CHAIN", "quantity": 29, "unit_price_minor": 255},
    ]


async def test_a_guest_is_a_customer_of_its_own_order(write: Write, api: FakeApi) -> None:
    await import_path(write(row("1", customer=""), row("2", customer="")), api)
    assert [order.body["customer"] for order in api.orders.values()] == [
        {"id": "guest-1"},
        {"id": "guest-2"},
    ]


@pytest.mark.parametrize("country", ["Unspecified", "European Community", "Channel Islands", "Oz"])
async def test_a_country_without_a_code_is_left_out_with_a_warning(
    write: Write, api: FakeApi, country: str
) -> None:
    imported = await import_path(write(row(country=country), row("2")), api)
    assert "shipping_address" not in api.orders["1"].body
    assert imported.report.without_country == {country: 1}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(sku="M"), "fee_M"),
        (row(sku="m", quantity=-1, price="0"), "fee_M"),
        (row(sku="BANK CHARGES"), "fee_BANK CHARGES"),
        (row(sku="AMAZONFEE"), "fee_AMAZONFEE"),
        (row(sku="CRUK"), "fee_CRUK"),
        (row(price="0.0"), "price_not_positive"),
        (row(price="-11062.06"), "price_not_positive"),
        (row(sku="POST", price="0"), "price_not_positive"),
        (row(quantity=0), "quantity_not_positive"),
        (row(quantity=-5), "quantity_not_positive"),
        (row(price="0.001"), "price_not_in_pennies"),
        (row(quantity=10**18), "quantity_out_of_range"),
        (row(price=str(10**20)), "price_out_of_range"),
        (row(quantity="two"), "malformed_row"),
        (row(quantity="1.5"), "malformed_row"),
        (row(quantity="٣"), "malformed_row"),
        (row(price="NaN"), "malformed_row"),
        (row(price="1e3"), "malformed_row"),
        (row(at="2010-13-01 08:26:00"), "malformed_row"),
        (row(invoice=" "), "malformed_row"),
        (row(sku=""), "malformed_row"),
        (row()[:7], "malformed_row"),
        ([*row(), "more"], "malformed_row"),
        (row(name="a\x00b"), "invalid_text"),
        (row(customer="1\n2"), "invalid_text"),
        (row(name="x" * 201), "text_too_long"),
        (row("C1", "POST", quantity=-1), "shipping_in_cancellation"),
        (row("C1", "D", quantity=-1), "discount_in_cancellation"),
        (row("C1", "M", quantity=-1), "fee_M"),
        (row("C1", quantity=1), "positive_quantity_in_cancellation"),
        (row("C1", quantity=0), "zero_quantity_in_cancellation"),
        (row("C1", quantity=-1, price="0"), "price_not_positive"),
    ],
)
async def test_a_row_is_refused_by_name_and_the_rest_of_its_order_stands(
    write: Write, api: FakeApi, bad: list[object], reason: str
) -> None:
    imported = await import_path(write(row(), bad), api)
    assert imported.reasons == {3: reason}
    assert imported.rejects[0][2:] == [str(value) for value in bad]
    assert len(api.orders) == 1
    assert imported.report.in_orders.rows == 1


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([row(sku="POST")], "no_goods"),
        ([row(), row(sku="D", quantity=-9)], "discount_above_total"),
        ([row(), row(customer="1")], "mixed_invoice"),
        ([row(), row(customer="")], "mixed_invoice"),
        ([row(), row(country="France")], "mixed_invoice"),
        ([row(sku=f"S{number}") for number in range(1001)], "too_many_lines"),
        ([row(quantity=10**6), row()], "quantity_out_of_range"),
        ([row(quantity=10**6, price=str(10**9)), row(sku="x")], "total_too_large"),
    ],
)
async def test_an_invoice_that_is_no_order_is_refused_whole(
    write: Write, api: FakeApi, rows: list[list[object]], reason: str
) -> None:
    imported = await import_path(write(*rows, row("good")), api)
    assert set(imported.reasons.values()) == {reason}
    assert len(imported.reasons) == len(rows)
    assert list(api.orders) == ["good"]


async def test_the_api_refusing_an_order_is_an_outcome_of_that_order_alone(
    write: Write, api: FakeApi
) -> None:
    api.before = lambda request: (
        problem(422, "too_odd")
        if b'"reference":"2"' in request.content.replace(b"external_", b"")
        else None
    )
    imported = await import_path(write(row("1"), row("2"), row("3")), api)
    assert imported.reasons == {3: "refused_too_odd"}
    assert set(api.orders) == {"1", "3"}


async def test_1000_lines_are_still_an_order(write: Write, api: FakeApi) -> None:
    await import_path(write(*[row(sku=f"S{number}") for number in range(1000)]), api)
    lines = api.orders["1"].body["lines"]
    assert isinstance(lines, list)
    assert len(lines) == 1000


async def test_a_row_has_the_number_of_the_line_on_which_it_starts(
    tmp_path: Path, api: FakeApi
) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(
        b"\xef\xbb\xbf" + ",".join(COLUMNS).encode() + b"\r\n"
        b'1,22086,"TWO\r\nLINES",1,12-01-2010 08:26,2.55,17850,United Kingdom\r\n'
        b"\r\n"
        b"1,22086,PAPER,0,12-01-2010 08:26,2.55,17850,United Kingdom\r\n"
        b"1,22087,\xa3 LATIN,1,12-01-2010 08:26,2.55,17850,United Kingdom\r\n"
    )
    imported = await import_path(path, api)
    assert imported.reasons == {5: "quantity_not_positive", 6: "invalid_text"}
    assert b"\xa3 LATIN" in path.with_name("odd.csv.rejects.csv").read_bytes()
    assert imported.report.total.rows == 3


async def test_a_quote_that_is_never_closed_is_one_malformed_row(
    write: Write, api: FakeApi
) -> None:
    path = write(row("1"), ["3", "22086", "OPEN"], *[row("2")] * 3000)
    path.write_text(path.read_text().replace("OPEN", '"OPEN'))
    imported = await import_path(path, api)
    assert imported.reasons[3] == "malformed_row"
    assert set(imported.reasons.values()) == {"malformed_row"}
    assert "1" in api.orders


async def test_the_rejects_can_be_mended_and_imported(write: Write, api: FakeApi) -> None:
    path = write(row("1"), row("2", price="0"))
    await import_path(path, api)
    rejects = path.with_name("orders.csv.rejects.csv")
    rejects.write_text(rejects.read_text().replace(",0,", ",1.00,"))
    imported: Imported = await import_path(rejects, api)
    assert imported.report.orders.done == 1
    assert set(api.orders) == {"1", "2"}
