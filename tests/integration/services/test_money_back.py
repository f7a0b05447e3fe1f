"""Money that goes back, on a real database and the sandbox's ledger, whatever dies on the way."""

from collections.abc import Awaitable, Callable

import pytest

from commands.order.cancel import CancelOrder, cancel_order
from commands.order.place import PlaceOrder, place_order
from commands.payment.refund import AskRefund, ask_refund
from domain.ids import CustomerId, OrderId, Sku
from domain.order.decisions import LineToCancel
from domain.order.events import OrderLine, PaymentMethod
from domain.personal import Address, PersonalData
from domain.shipment.events import TrackingStatus
from domain.shipment.pieces import LineRequest
from infrastructure.settings import Settings
from tests.integration.services.orders import GBP, place, receive, stock
from tests.integration.services.provider import CutOffError, Watched, agree, ledger, mend_cards
from tests.integration.services.town import Town, asks, open_town

A = Sku("A")
PRICE = 255


async def test_what_came_back_to_the_sender_is_sent_again_at_no_charge_or_paid_back(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    async with open_town(settings) as town:
        await stock(town.ports, A=9)
        again, off, unseen = [await place(town.ports, A=2) for _ in range(3)]
        await town.rest()
        parcels = [(order, await town.send(order, [LineRequest(A, 2)])) for order in (again, off)]
        await town.rest()
        for order, parcel in parcels:
            await town.deliver(order, parcel, TrackingStatus.RETURN_TO_SENDER)
        quick = await town.send(unseen, [LineRequest(A, 2)])
        await town.deliver(unseen, quick, TrackingStatus.RETURN_TO_SENDER)
        await town.rest()
        for order in (again, off, unseen):
            saga = (await town.file(order)).fulfilment.state
            assert saga is not None
            assert [one.reason for one in saga.live()] == ["returned_to_sender"]
        await cancel_order(CancelOrder(unseen, reason="no"), asks(), town.ports)
        await town.deliver(again, await town.send(again, [LineRequest(A, 2)]))
        await cancel_order(CancelOrder(off, reason="no"), asks(), town.ports)
        await town.rest()
        assert await agree(town, database_url) == {"completed": 1, "cancelled": 2}
    assert gateway.asked.count("refund") == 1
    books = await ledger(database_url, "captured_minor, refunded_minor")
    assert sorted(one["refunded_minor"] for one in books) == [0, 0, 2 * PRICE]
    assert sorted(one["captured_minor"] for one in books) == [0, 2 * PRICE, 2 * PRICE]


async def test_goods_that_are_back_before_their_money_was_taken_are_paid_back_once_it_is(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    """A capture may take long: a provider is slow, or a card is put right at last."""
    del gateway
    async with open_town(settings) as town:
        await stock(town.ports, A=9)
        one, two = await place(town.ports, A=1), await place(town.ports, A=2)
        await town.rest()
        await town.deliver(two, await town.send(two, [LineRequest(A, 1)]))
        await town.rest()
        for order in (one, two):  # and no service looks in between
            await town.deliver(order, await town.send(order, [LineRequest(A, 1)]))
            await receive(town.ports, order, A, 1)
        await town.rest()
        assert await agree(town, database_url) == {"completed": 2}
    assert await ledger(database_url, "captured_minor, refunded_minor") == [
        {"captured_minor": 2 * PRICE, "refunded_minor": PRICE},
        {"captured_minor": PRICE, "refunded_minor": PRICE},
    ]


async def test_what_could_not_be_taken_for_a_parcel_that_came_back_is_taken_for_the_next(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    del gateway
    async with open_town(settings) as town:
        await stock(town.ports, A=9, B=9)
        order = await place(town.ports, "tok_captureFails", A=1, B=1)
        await town.rest()
        lost = await town.send(order, [LineRequest(A, 1)])
        await town.round()
        await town.deliver(order, lost, TrackingStatus.RETURN_TO_SENDER)
        await town.rest()
        await mend_cards(database_url)
        await town.deliver(order, await town.send(order, [LineRequest(A, 1)]))
        await town.rest()
        [one] = await ledger(database_url, "captured_minor")
        assert one["captured_minor"] == PRICE
        await receive(town.ports, order, A, 1)
        await town.deliver(order, await town.send(order, [LineRequest(Sku("B"), 1)]))
        await town.rest()
        assert await agree(town, database_url) == {"completed": 1}
    assert await ledger(database_url, "captured_minor, refunded_minor") == [
        {"captured_minor": 2 * PRICE, "refunded_minor": PRICE}
    ]


def half_price(*lines: OrderLine) -> PlaceOrder:
    """Order these lines at half of their price."""
    return PlaceOrder(
        customer_id=CustomerId("c-1"),
        external_reference=None,
        personal=PersonalData("Ada", "ada@example.com", None, Address("GB"), "tok_visa"),
        currency=GBP,
        lines=lines,
        shipping_minor=0,
        tax_minor=0,
        discount_minor=sum(line.quantity * line.unit_price_minor for line in lines) // 2,
        payment=PaymentMethod.TOKEN,
        fulfilled_here=True,
    )


async def test_what_comes_back_is_worth_what_was_taken_for_it_after_other_lines_were_cancelled(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    del gateway
    command = half_price(OrderLine(1, A, "A", 2, 500), OrderLine(2, Sku("B"), "B", 1, 1_000))
    async with open_town(settings) as town:
        await stock(town.ports, A=9, B=9)
        order = (await place_order(command, asks(), town.ports)).order_id
        await town.rest()
        await town.deliver(order, await town.send(order, [LineRequest(A, 2)]))
        await town.rest()
        off = CancelOrder(order, reason="no", lines=[LineToCancel(Sku("B"), 1)])
        await cancel_order(off, asks(), town.ports)
        await town.rest()
        assert await ledger(database_url, "captured_minor, refunded_minor") == [
            {"captured_minor": 500, "refunded_minor": 0}
        ]
        for kept in (250, 0):
            await receive(town.ports, order, A, 1)
            await town.rest()
            [one] = await ledger(database_url, "captured_minor - refunded_minor AS kept")
            assert one["kept"] == kept
        assert await agree(town, database_url) == {"completed": 1}


async def test_whoever_cancels_half_of_an_order_pays_half_of_it(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    del gateway
    async with open_town(settings) as town:
        await stock(town.ports, A=10)
        command = half_price(OrderLine(1, A, "A", 10, 1_000))
        order = (await place_order(command, asks(), town.ports)).order_id
        await town.rest()
        off = CancelOrder(order, reason="no", lines=[LineToCancel(A, 5)])
        await cancel_order(off, asks(), town.ports)
        await town.deliver(order, await town.send(order, [LineRequest(A, 5)]))
        await town.rest()
        assert await agree(town, database_url) == {"completed": 1}
    assert await ledger(database_url, "captured_minor, refunded_minor") == [
        {"captured_minor": 2_500, "refunded_minor": 0}
    ]


async def test_a_crash_between_the_provider_and_the_log_moves_no_money_twice(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    """One order is paid, and given back in part, by hand and as a return; another is called off."""
    orders: list[OrderId] = []

    async def buy(town: Town) -> None:
        await stock(town.ports, A=9)
        orders.extend([await place(town.ports, A=3), await place(town.ports, A=1)])

    async def send(town: Town) -> None:
        await town.deliver(orders[0], await town.send(orders[0], [LineRequest(A, 3)]))

    async def give_back(town: Town) -> None:
        await ask_refund(AskRefund(orders[0], 100, "GBP", "sorry"), asks(), town.ports)

    async def call_off(town: Town) -> None:
        await cancel_order(CancelOrder(orders[1], reason="no"), asks(), town.ports)

    for call, do in (
        ("authorize", buy),
        ("capture", send),
        ("refund", give_back),
        ("refund", bring_back(orders)),
        ("void", call_off),
    ):
        gateway.cut.add(call)
        with pytest.raises(CutOffError):
            await live(settings, do)
        await live(settings)
    async with open_town(settings) as town:
        assert await agree(town, database_url) == {"completed": 1, "cancelled": 1}
    columns = "captured_minor, refunded_minor, released_minor"
    assert await ledger(database_url, columns) == [
        {"captured_minor": 3 * PRICE, "refunded_minor": 100 + PRICE, "released_minor": 0},
        {"captured_minor": 0, "refunded_minor": 0, "released_minor": PRICE},
    ]


async def live(settings: Settings, do: Callable[[Town], Awaitable[None]] | None = None) -> None:
    """Do it in a town of its own, and wait for what comes of it."""
    async with open_town(settings) as town:
        if do is not None:
            await do(town)
        await town.rest()


def bring_back(orders: list[OrderId]) -> Callable[[Town], Awaitable[None]]:
    async def one_piece(town: Town) -> None:
        await receive(town.ports, orders[0], A, 1)

    return one_piece
