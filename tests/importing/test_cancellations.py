"""What a cancellation invoice cancels: the one line that can be meant, or nothing."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tests.importing.fake_api import FakeApi, problem
from tests.importing.orders_csv import import_path, row

Write = Callable[..., Path]
LATER = "2010-12-02 09:00:00"


async def test_the_one_earlier_line_is_cancelled(write: Write, api: FakeApi) -> None:
    path = write(
        row("C9", "71053", quantity=-2, at=LATER, price="3.39"),
        row("1"),
        row("1", "71053", quantity=6, price="3.39"),
    )
    imported = await import_path(path, api)
    assert api.orders["1"].cancelled == {2: 2}
    assert api.orders["1"].reasons == ["cancellation C9"]
    assert imported.report.in_cancellations.amount == Decimal("-6.78")
    assert imported.report.cancellations.done == 1


@pytest.mark.parametrize(
    "returned",
    [
        row("C9", at=LATER, quantity=-1, customer="1"),
        row("C9", at=LATER, quantity=-1, customer=""),
        row("C9", at=LATER, quantity=-1, price="2.54"),
        row("C9", at=LATER, quantity=-1, sku="22087"),
        row("C9", at=LATER, quantity=-3),
        row("C9", at="2010-12-01 08:26:00", quantity=-1),
        row("C9", at="2010-11-01 08:26:00", quantity=-1),
    ],
    ids=["customer", "guest", "price", "sku", "quantity", "same time", "earlier"],
)
async def test_what_matches_no_line_is_refused(
    write: Write, api: FakeApi, returned: list[object]
) -> None:
    imported = await import_path(write(row(), returned), api)
    assert imported.reasons == {3: "no_single_match"}
    assert api.posts == 1


async def test_a_cancellation_keeps_its_own_date(write: Write, api: FakeApi) -> None:
    sent: list[dict[str, object]] = []
    api.after = lambda request: sent.append(json.loads(request.content))
    later = "2010-12-03 10:00:00"
    path = write(
        row("1", quantity=5), row("C9", quantity=-1, at=later), row("C9", quantity=-1, at=LATER)
    )
    await import_path(path, api)
    assert sent[-1]["cancelled_at"] == "2010-12-02T09:00:00Z"


async def test_what_matches_two_lines_is_refused(write: Write, api: FakeApi) -> None:
    imported = await import_path(write(row("1"), row("2"), row("C9", at=LATER, quantity=-1)), api)
    assert imported.reasons == {4: "no_single_match"}


async def test_a_guest_cancels_nothing(write: Write, api: FakeApi) -> None:
    path = write(row(customer=""), row("C9", at=LATER, quantity=-1, customer=""))
    assert (await import_path(path, api)).reasons == {3: "no_single_match"}


async def test_pieces_are_used_up_in_the_order_of_time(write: Write, api: FakeApi) -> None:
    path = write(
        row("C8", quantity=-3, at="2010-12-04 00:00:00"),
        row("C7", quantity=-1, at="2010-12-05 00:00:00"),
        row("C9", quantity=-3, at="2010-12-03 00:00:00"),
        row("1", quantity=4),
    )
    imported = await import_path(path, api)
    assert imported.reasons == {2: "no_single_match"}
    assert api.orders["1"].cancelled == {1: 4}
    assert api.orders["1"].reasons == ["cancellation C9", "cancellation C7"]


async def test_rows_that_hit_the_same_order_are_one_cancellation(
    write: Write, api: FakeApi
) -> None:
    path = write(
        row("1", quantity=5),
        row("1", "71053"),
        row("2", "84406B"),
        row("C9", quantity=-1, at=LATER),
        row("C9", quantity=-2, at=LATER),
        row("C9", "71053", quantity=-1, at=LATER),
        row("C9", "84406B", quantity=-1, at=LATER),
    )
    imported = await import_path(path, api)
    assert imported.report.cancellations.done == 2
    assert api.orders["1"].cancelled == {1: 3, 2: 1}
    assert api.orders["2"].cancelled == {1: 1}


async def test_an_order_that_was_refused_is_no_candidate(write: Write, api: FakeApi) -> None:
    api.before = lambda request: problem(422, "odd") if b'"1"' in request.content else None
    path = write(row("1"), row("2"), row("C9", quantity=-1, at=LATER))
    imported = await import_path(path, api)
    assert imported.reasons == {2: "refused_odd"}
    assert api.orders["2"].cancelled == {1: 1}


async def test_a_refused_cancellation_is_the_outcome_of_its_rows(
    write: Write, api: FakeApi
) -> None:
    api.before = lambda request: (
        problem(409, "illegal_transition") if "cancellations" in request.url.path else None
    )
    path = write(row("1"), row("C9", quantity=-1, at=LATER))
    imported = await import_path(path, api)
    assert imported.reasons == {3: "refused_illegal_transition"}
    assert imported.report.cancellations.refused == 1
