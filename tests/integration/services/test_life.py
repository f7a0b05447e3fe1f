"""The services on a real database: the ways an order can go, and what trouble may do to it."""

import asyncio
import random
from collections import Counter
from typing import Any

import psycopg
import pytest

from commands.inventory import allocate
from commands.inventory.stock import ListItem, list_item, receive_stock
from commands.order.cancel import CancelOrder, cancel_order
from commands.order.change import Target
from commands.shipment.packing import create_shipment
from domain.envelope import Role
from domain.errors import DomainError
from domain.fulfilment.facts import ParcelStatus
from domain.ids import OrderId, Sku
from domain.inventory.location import MAIN
from domain.order.state import OrderStatus
from domain.shipment.pieces import LineRequest
from infrastructure.settings import Settings
from tests.agreement import assert_agreement, read_books
from tests.integration.services.orders import GBP, place, stock
from tests.integration.services.town import Town, asks, open_town

A, B = Sku("A"), Sku("B")


async def agree(town: Town, database_url: str) -> Counter[str]:
    books = await read_books(database_url, town.ports)
    assert_agreement(books)
    return books.statuses()


async def status(town: Town, order_id: OrderId) -> str:
    order = (await town.file(order_id)).order.state
    assert order is not None
    return str(order.status)


async def test_an_order_is_paid_parcel_by_parcel_and_completed(
    settings: Settings, database_url: str
) -> None:
    async with open_town(settings) as town:
        await stock(town.ports, A=10)
        order = await place(town.ports, A=3)
        await town.rest()
        assert await status(town, order) == "confirmed"
        first = await town.send(order, [LineRequest(A, 2)])
        await town.rest()
        payment = (await town.file(order)).payment.state
        assert payment is not None
        assert (payment.authorized_minor, payment.captured_minor) == (765, 510)
        second = await town.send(order, [LineRequest(A, 1)])
        await town.deliver(order, first)
        await town.deliver(order, second)
        await town.rest()
        assert await agree(town, database_url) == {"completed": 1}


async def test_who_comes_too_late_is_rejected_with_the_lines_that_fell_short(
    settings: Settings, database_url: str
) -> None:
    """Of two skus one begins as the other, and a slash follows: each has its own stock."""
    async with open_town(settings) as town:
        await stock(town.ports, **{"A": 5, "A/B": 1})
        both = {"A": 1, "A/B": 1}
        orders = [await place(town.ports, "tok_visa", "c-1", **both) for _ in range(2)]
        await town.rest()
        assert [await status(town, one) for one in orders] == ["confirmed", "rejected"]
        allocation = (await town.file(orders[1])).allocation.state
        assert allocation is not None
        assert allocation.short == (2,)
        await agree(town, database_url)


@pytest.mark.parametrize(
    ("token", "ends"),
    [
        ("tok_chargeDeclined", "rejected"),
        ("tok_chargeDeclinedInsufficientFunds", "rejected"),
        ("tok_unheardOf", "rejected"),
        ("tok_timeoutAfterCharging", "confirmed"),
    ],
)
async def test_what_the_bank_says_decides(
    settings: Settings, database_url: str, token: str, ends: str
) -> None:
    async with open_town(settings) as town:
        await stock(town.ports, A=5)
        await place(town.ports, token, A=2)
        await town.rest()
        assert await agree(town, database_url) == {ends: 1}


async def test_a_cancelled_order_gives_back_its_stock_and_its_money(
    settings: Settings, database_url: str
) -> None:
    async with open_town(settings) as town:
        await stock(town.ports, A=5)
        early, late = [await place(town.ports, A=2) for _ in range(2)]
        await cancel_order(CancelOrder(early, reason="no"), asks(Role.CUSTOMER), town.ports)
        await town.rest()
        await create_shipment(Target(late), [LineRequest(A, 1)], asks(), town.ports)
        answer = await cancel_order(CancelOrder(late, reason="no"), asks(Role.CUSTOMER), town.ports)
        assert answer.status == OrderStatus.CANCEL_PENDING
        await town.rest()
        assert await agree(town, database_url) == {"cancelled": 2}
        [parcel] = (await town.file(late)).facts.parcels
        assert parcel.status is ParcelStatus.CANCELLED


async def test_backordered_pieces_leave_once_they_have_come_and_not_before(
    settings: Settings, database_url: str
) -> None:
    async with open_town(settings) as town:
        late = ListItem(A, "A", 255, GBP, on_hand=2, allow_backorder=True)
        await list_item(late, asks(), town.ports)
        order = await place(town.ports, A=4)
        await town.rest()
        assert await status(town, order) == "confirmed"
        first = await town.send(order, [LineRequest(A, 1)])
        for pieces in (3, 2):  # inventory has not heard of the first parcel yet
            with pytest.raises(DomainError) as refused:
                await town.send(order, [LineRequest(A, pieces)])
            assert refused.value.code == "stock_not_received"
            await town.unpack_all(order)
        second = await town.send(order, [LineRequest(A, 1)])
        await town.rest()
        with pytest.raises(DomainError):
            await town.send(order, [LineRequest(A, 1)])
        await town.unpack_all(order)
        await receive_stock(A, MAIN, 2, asks(), town.ports)
        third = await town.send(order, [LineRequest(A, 2)])
        for parcel in (first, second, third):
            await town.deliver(order, parcel)
        await town.rest()
        assert await agree(town, database_url) == {"completed": 1}


async def test_a_parcel_is_not_refused_as_another_one_leaves_the_shelf_at_that_moment(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks of one dispatch inventory hears of the parcel before it."""
    async with open_town(settings) as town:
        await stock(town.ports, A=1, B=1)
        order = await place(town.ports, A=1, B=1)
        await town.rest()
        await town.send(order, [LineRequest(A, 1)])
        parcel = await town.pack(order, [LineRequest(B, 1)])
        load_all, looks = town.ports.store.load_all, list[int]()

        async def hearing(wanted: Any) -> Any:
            looks.append(len(wanted))
            if len(looks) == 2:
                await town.rest()
            return await load_all(wanted)

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(town.ports.store, "load_all", hearing)
            await town.dispatch(order, parcel)
        await town.rest()
        allocation = (await town.file(order)).allocation.state
        assert allocation is not None
        assert [part.shipped for part in allocation.parts] == [1, 1]
        await agree(town, database_url)


async def test_of_a_dispatch_and_a_cancellation_that_race_exactly_one_wins(
    settings: Settings, database_url: str
) -> None:
    async with open_town(settings) as town:
        await stock(town.ports, A=50)
        orders = [await place(town.ports, A=1) for _ in range(10)]
        await town.rest()

        async def race(order: OrderId) -> int:
            work = (
                town.send(order, [LineRequest(A, 1)]),
                cancel_order(CancelOrder(order, reason="no"), asks(), town.ports),
            )
            results = await asyncio.gather(*work, return_exceptions=True)
            assert all(
                isinstance(one, DomainError) and one.code == "illegal_transition"
                for one in results
                if isinstance(one, BaseException)
            )
            return sum(not isinstance(one, BaseException) for one in results)

        assert await asyncio.gather(*map(race, orders)) == [1] * 10
        await town.rest()
        await agree(town, database_url)


async def test_large_orders_do_not_share_an_append_with_many(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allocate, "MOST_LINES", 5)
    async with open_town(settings) as town:
        await stock(town.ports, A=9, B=9)
        for _ in range(4):
            await place(town.ports, A=1, B=1)
        await town.rest()
        assert await agree(town, database_url) == {"confirmed": 4}
    query = "SELECT count(DISTINCT recorded_at) FROM events WHERE topic = 'stock.reserved.v1'"
    with psycopg.connect(database_url) as connection:
        assert connection.execute(query).fetchone() == (2,)


async def test_a_hot_item_is_sold_to_the_last_piece_and_not_beyond(
    settings: Settings, database_url: str
) -> None:
    async with open_town(settings, copies=2) as town:
        await stock(town.ports, HOT=20)
        await asyncio.gather(*(place(town.ports, customer=f"c-{n}", HOT=1) for n in range(100)))
        await town.rest()
        assert await agree(town, database_url) == {"confirmed": 20, "rejected": 80}


async def test_however_often_services_are_cut_off_everything_agrees(
    settings: Settings, database_url: str
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - to repeat it
    draw = random.Random(seed)
    async with open_town(settings, draw=draw) as town:
        await stock(town.ports, A=25, B=25)
        tokens = ["tok_visa"] * 6 + ["tok_chargeDeclined", "tok_timeoutAfterCharging"]
        orders = [
            await place(town.ports, draw.choice(tokens), A=draw.randint(1, 2), B=draw.randint(1, 2))
            for _ in range(20)
        ]
        await town.rest()
        confirmed = [order for order in orders if await status(town, order) == "confirmed"]
        for number, order in enumerate(confirmed):
            if number % 3 == 0:
                await cancel_order(CancelOrder(order, reason="no"), asks(), town.ports)
                continue
            shipped = await town.send(order, [LineRequest(A, 1)])
            await town.deliver(order, shipped)
        await town.rest()
        statuses = await agree(town, database_url)
        assert statuses["cancelled"]
        assert town.cut > 0
