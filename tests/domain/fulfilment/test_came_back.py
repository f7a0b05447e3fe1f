"""Pieces that came back to their sender: sent again, or canceled and received into stock, once."""

from uuid import UUID

import pytest

from domain.fulfilment.events import Step
from domain.fulfilment.facts import ParcelStatus
from domain.fulfilment.standing import to_receive
from domain.fulfilment.state import Condition
from domain.ids import Sku
from domain.order import decisions
from domain.order.decisions import LineToCancel
from domain.order.state import OrderStatus
from tests.domain.fulfilment.world import Luck, World
from tests.domain.orders import WHY, here

P1 = str(UUID(int=1))
"""The first parcel."""
STOCK = 5
"""As many as the order is of."""


@pytest.fixture
def world() -> World:
    """Give a confirmed order of five pieces, a parcel of two of them with the carrier."""
    world = World(here())
    while world.order.status is OrderStatus.PENDING:
        go_on(world)
    send(world, 2)
    return world


def go_on(world: World) -> None:
    for _ in range(4):
        world.react()
        world.stock_works()
        world.stock_ships()
        world.payment_works(Luck.YES)


def send(world: World, quantity: int) -> None:
    assert world.pack({1: quantity})
    assert world.move(ParcelStatus.PACKED, ParcelStatus.DISPATCHED)
    go_on(world)


def end(world: World, how: ParcelStatus) -> None:
    assert world.move(ParcelStatus.DISPATCHED, how)
    go_on(world)


def cancel(world: World, quantity: int) -> None:
    lines = [LineToCancel(Sku("A"), quantity)]
    parcels = world.facts.live_parcels()
    world.change(
        *decisions.cancel_lines(world.order, parcels, lines=lines, reason="x", reason_code=WHY)
    )
    go_on(world)


def on_hand(world: World) -> int:
    return STOCK - world.facts.allocation.shipped.get(1, 0) + world.received.get(1, 0)


def available(world: World) -> int:
    return on_hand(world) - world.facts.allocation.held.get(1, 0)


def test_what_is_canceled_once_it_came_back_is_received_and_the_rest_is_sent(world: World) -> None:
    end(world, ParcelStatus.RETURNED)
    cancel(world, 2)
    assert (on_hand(world), available(world)) == (3, 0)
    world.receive_what_came_back()
    assert (on_hand(world), available(world)) == (5, 2)
    send(world, 3)
    end(world, ParcelStatus.DELIVERED)
    assert world.order.status is OrderStatus.COMPLETED
    assert (on_hand(world), available(world)) == (2, 2)


def test_what_was_canceled_before_it_came_back_was_let_go_of_and_it_is_sent_again(
    world: World,
) -> None:
    cancel(world, 2)
    assert (on_hand(world), available(world)) == (3, 2)
    end(world, ParcelStatus.RETURNED)
    assert not world.receive_what_came_back()
    send(world, 3)
    end(world, ParcelStatus.DELIVERED)
    assert world.order.status is OrderStatus.COMPLETED
    assert (on_hand(world), available(world)) == (2, 2)


def test_of_an_order_that_is_called_off_all_that_came_back_is_received(world: World) -> None:
    end(world, ParcelStatus.RETURNED)
    parcels = world.facts.live_parcels()
    world.change(*decisions.request_cancellation(world.order, parcels, reason="x", reason_code=WHY))
    go_on(world)
    assert to_receive(world.order, world.facts) == {1: 2}
    world.receive_what_came_back()
    assert (on_hand(world), available(world)) == (5, 5)


def test_what_a_parcel_takes_is_counted_while_inventory_has_yet_to_hear_of_it() -> None:
    """Its pieces would be let go of, and then leave all the same."""
    world = World(here())
    while world.order.status is OrderStatus.PENDING:
        go_on(world)
    assert world.pack({1: 2})
    world.move(ParcelStatus.PACKED, ParcelStatus.DISPATCHED)
    world.move(ParcelStatus.DISPATCHED, ParcelStatus.RETURNED)
    lines = [LineToCancel(Sku("A"), 2)]
    parcels = world.facts.live_parcels()
    world.change(
        *decisions.cancel_lines(world.order, parcels, lines=lines, reason="x", reason_code=WHY)
    )
    world.react()
    world.stock_works()
    assert to_receive(world.order, world.facts) == {1: 2}
    go_on(world)
    assert to_receive(world.order, world.facts) == {1: 2}
    assert world.facts.allocation.held == {1: 3}


def test_a_lost_parcel_that_comes_back_after_all_is_noted_and_sent_again(world: World) -> None:
    """People were told that nobody knows where it is; now they are told that it came back."""
    cancel(world, 3)
    while not is_at(world, Step.DELIVER, P1, Condition.STUCK, "no_scan"):
        assert world.wait()
        world.react()
    end(world, ParcelStatus.RETURNED)
    assert is_at(world, Step.DELIVER, P1, Condition.FAILED, "returned_to_sender")
    assert is_at(world, Step.SHIP, "", Condition.STUCK, "returned_to_sender")
    send(world, 2)
    end(world, ParcelStatus.DELIVERED)
    assert world.order.status is OrderStatus.COMPLETED


def is_at(world: World, step: Step, subject: str, condition: Condition, reason: str) -> bool:
    assert world.saga is not None
    record = world.saga.of(step, subject)
    assert record is not None
    return (record.condition, record.reason) == (condition, reason)
