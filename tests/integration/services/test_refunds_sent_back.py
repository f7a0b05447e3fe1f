"""Refunds that come to nothing when other money went back meanwhile: what is left is given back."""

import pytest

from commands.fulfilment.advance import store_reaction
from commands.order.cancel import CancelOrder, cancel_order
from commands.payment.refund import AskRefund, ask_refund
from domain.ids import OrderId, Sku
from domain.payment.events import ChargebackReceived, PaymentEvent, RefundFailed
from domain.shipment.events import TrackingStatus
from domain.shipment.pieces import LineRequest
from infrastructure.settings import Settings
from tests.integration.services.orders import place, receive, stock
from tests.integration.services.provider import Watched, agree, ledger, unbook_refunds
from tests.integration.services.town import Town, asks, open_town

A = Sku("A")
PRICE = 255


@pytest.mark.parametrize("how", ["cancelled", "returned"])
async def test_of_a_refund_that_is_sent_back_what_is_left_by_then_is_given_back(
    settings: Settings, gateway: Watched, database_url: str, how: str
) -> None:
    """The customer's bank took a part of it back itself: so much is not given back once more."""
    del gateway
    async with open_town(settings) as town:
        order = await give_all_back(town, how)
        await told_by_bank(town, database_url, order, charged_back=100)
        await town.rest()
        file = await town.file(order)
        assert file.order.state is not None
        assert file.order.state.status == ("cancelled" if how == "cancelled" else "completed")
        assert file.facts.payment.kept_minor == 0
        assert set(file.facts.payment.refunds.values()) == {2 * PRICE - 100}
        assert file.fulfilment.state is not None
        assert not list(file.fulfilment.state.live())
    assert await ledger(database_url, "refunded_minor") == [{"refunded_minor": 2 * PRICE - 100}]


async def test_a_refund_that_is_sent_back_ends_where_nothing_is_left_of_it(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    async with open_town(settings) as town:
        order = await give_all_back(town, "returned")
        await told_by_bank(town, database_url, order, charged_back=2 * PRICE)
        await town.rest()
        file = await town.file(order)
        assert file.fulfilment.state is not None
        assert not list(file.fulfilment.state.live())
        assert set(file.facts.payment.refunds.values()) == {0}
    assert gateway.asked.count("refund") == 1


async def test_what_people_gave_back_after_a_refund_failed_is_not_asked_for_with_the_next_try(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    del gateway
    async with open_town(settings) as town:
        order = await give_all_back(town, "cancelled")
        await told_by_bank(town, database_url, order, charged_back=0)
        await ask_refund(AskRefund(order, 100, "GBP", "a part now"), asks(), town.ports)
        await town.rest()
        assert await agree(town, database_url) == {"cancelled": 1}
    assert await ledger(database_url, "refunded_minor") == [{"refunded_minor": 2 * PRICE}]


async def give_all_back(town: Town, how: str) -> OrderId:
    """Send two pieces that come to nothing: back to their sender, or as a return."""
    await stock(town.ports, A=2)
    order = await place(town.ports, A=2)
    await town.rest()
    parcel = await town.send(order, [LineRequest(A, 2)])
    await town.rest()
    if how == "cancelled":
        await town.deliver(order, parcel, TrackingStatus.RETURN_TO_SENDER)
        await cancel_order(CancelOrder(order, reason="no"), asks(), town.ports)
    else:
        await town.deliver(order, parcel)
        await receive(town.ports, order, A, 2)
    await town.rest()
    return order


async def told_by_bank(town: Town, database_url: str, order: OrderId, *, charged_back: int) -> None:
    """Have the order's only refund sent back, after a charge-back, if it is of anything."""
    await unbook_refunds(database_url)
    file = await town.file(order)
    [refund] = file.facts.payment.refunds
    said: list[PaymentEvent] = [RefundFailed(order, refund, "sent back")]
    if charged_back:
        said.insert(0, ChargebackReceived(order, "d1", charged_back))
    await store_reaction(file, [(file.payment, said)], asks(), town.ports)
