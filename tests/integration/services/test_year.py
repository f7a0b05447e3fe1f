"""A real shop's year, lived by the services: what everybody has in the end agrees, to the penny.

In `./run test` some of its orders; in `./run chaos -k year` all of them.
"""

import os
import secrets

import psycopg
import pytest

from domain.ids import OrderId
from domain.money import Currency, Money
from domain.order.state import OrderStatus
from infrastructure.payments.sandbox import open_sandbox
from infrastructure.settings import Settings
from tests.agreement import Books, assert_agreement, read_books
from tests.chaos.extent import extent
from tests.integration.services.town import open_town
from tests.year.life import Year
from tests.year.sales import YEAR, Sale, Share, Supply, read_year

SHARE = Share(plain=extent(200, 1), taken_back=extent(3, 1))
AT_A_TIME = extent(40, 200)
PATIENT = '{"answer_s": 5, "authorize_pause_s": 1, "retry_pause_s": 1, "longest_pause_s": 10}'


@pytest.mark.usefixtures("settings")
@pytest.mark.skipif(not YEAR.exists(), reason="no file of sales: see ORDERTRAIL_YEAR")
async def test_of_a_real_year_money_stock_and_parcels_agree_with_every_status(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERTRAIL_SAGA_TIMING", PATIENT)
    seed = os.environ.get("ORDERTRAIL_CHAOS_SEED") or secrets.token_hex(4)
    sales = read_year(YEAR, seed, SHARE)
    print(f"{len(sales)} sales of the year, seed {seed}")  # noqa: T201 - to repeat it
    async with (
        open_town(Settings()) as town,
        open_sandbox(database_url, "whsec") as sandbox,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection,
    ):
        town.patient = False
        year = Year(town.ports, sandbox, connection, town.until)
        for begin in range(0, len(sales), AT_A_TIME):
            await year.live(sales[begin : begin + AT_A_TIME])
            print(f"{len(year.lived)} of {len(sales)} orders lived")  # noqa: T201 - progress
        await town.rest()
        books = await read_books(database_url, town.ports)
    print(_told(books))  # noqa: T201 - for the reader
    assert set(books.files) == set(year.lived)
    assert_agreement(books)
    for order_id, sale in year.lived.items():
        _assert_ended(books, order_id, sale)
    assert {"completed", "rejected", "cancelled"} <= set(books.statuses())
    assert any(file.facts.returns for file in books.files.values())


def _assert_ended(books: Books, order_id: OrderId, sale: Sale) -> None:
    """Hold what became of it against what its customer, its goods and its carrier did."""
    file = books.files[order_id]
    order, payment = file.order.state, file.payment.state
    assert order is not None
    where = f"{sale.order.invoice} is {order.status}"
    allocation = file.allocation.state
    if sale.supply is Supply.FORGOTTEN and allocation is not None and allocation.short:
        assert order.status is OrderStatus.REJECTED, where
    elif sale.parcels():
        assert order.status is sale.card.ends, where
    else:
        assert order.status is OrderStatus.CANCELLED, where
    given_back = payment is not None and payment.refunded_minor > 0
    assert given_back is bool(sale.brought_back), where


def _told(books: Books) -> str:
    """Say how the year ended, in pounds and pence of the provider's ledger."""
    counted = ", ".join(f"{count} {status}" for status, count in books.statuses().most_common())
    parcels = sum(len(file.facts.parcels) for file in books.files.values())
    returns = sum(len(file.facts.returns) for file in books.files.values())
    taken, back = (
        Money(sum(row[kind] for row in books.ledger.values()), Currency("GBP"))
        for kind in ("captured", "refunded")
    )
    return f"{counted}; {parcels} parcels, {returns} returns; taken {taken}, given back {back}"
