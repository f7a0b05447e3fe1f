"""The rules of parcels before they leave: what may be packed, dispatched and unpacked, and when."""

from collections.abc import Callable

import pytest

from domain.ids import Sku
from domain.order.events import (
    CancelledLine,
    HoldReason,
    OrderCompleted,
    OrderHeld,
    OrderHoldReleased,
    OrderLinesCancelled,
)
from domain.order.state import Order
from domain.shipment import decisions, guards
from domain.shipment.events import (
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDispatched,
    ShipmentEvent,
    ShippedLine,
)
from domain.shipment.pieces import LineRequest
from domain.shipment.state import Shipments
from tests.domain.orders import ORDER_ID, WHY, here, line, refused
from tests.domain.shipment.parcels import (
    P1,
    P2,
    SOON,
    came_back,
    cancelled,
    confirmed,
    created,
    delivered,
    dispatched,
    given,
    on_its_way,
    wanted,
)

HELD = OrderHeld(ORDER_ID, HoldReason.OTHER, "x")


def create(order: Order, shipments: Shipments | None = None, quantity: int = 1) -> object:
    return decisions.create(order, shipments, shipment_id=P2, lines=[wanted(quantity=quantity)])


def dispatch(order: Order, shipments: Shipments | None) -> object:
    return decisions.dispatch(
        order,
        shipments,
        shipment_id=P1,
        carrier="dhl",
        tracking_number="0034",
        estimated_delivery=SOON,
    )


def test_a_parcel_holds_parts_of_several_lines_in_the_order_of_the_lines() -> None:
    order = confirmed(lines=[line(1, "A"), line(2, "B")])
    events = decisions.create(
        order, None, shipment_id=P1, lines=[wanted("B", 3), wanted("A", 1), wanted("B", 1)]
    )
    lines = (ShippedLine(1, Sku("A"), 1), ShippedLine(2, Sku("B"), 4))
    assert events == (ShipmentCreated(ORDER_ID, P1, lines),)


def test_a_parcel_takes_what_is_in_no_other_and_no_more() -> None:
    packed = given(created(quantity=3))
    create(confirmed(), packed, quantity=2)
    error = refused(lambda: create(confirmed(), packed, quantity=3))
    assert (error.code, error.field, error.extra) == (
        "quantity_above_remaining",
        "/lines/0/quantity",
        {"remaining": 2},
    )


def test_a_line_that_is_named_twice_counts_twice() -> None:
    error = refused(
        lambda: decisions.create(
            confirmed(), None, shipment_id=P1, lines=[wanted(quantity=3), wanted(quantity=3)]
        )
    )
    assert (error.code, error.field) == ("quantity_above_remaining", "/lines/1/quantity")


def test_cancelled_pieces_are_not_packed() -> None:
    off = OrderLinesCancelled(ORDER_ID, (CancelledLine(1, Sku("A"), 4),), "x", WHY)
    assert refused(lambda: create(confirmed(off), None, quantity=2)).extra == {"remaining": 1}


@pytest.mark.parametrize("end", [(cancelled(),), (dispatched(), came_back())])
def test_pieces_of_a_cancelled_or_returned_parcel_are_packed_again(
    end: tuple[ShipmentEvent, ...],
) -> None:
    create(confirmed(), given(created(quantity=5), *end), quantity=5)


@pytest.mark.parametrize("so_far", [(), (dispatched(),), (dispatched(), delivered())])
def test_pieces_of_a_live_parcel_are_not_packed_again(so_far: tuple[ShipmentEvent, ...]) -> None:
    packed = given(created(quantity=5), *so_far)
    assert refused(lambda: create(confirmed(), packed)).extra == {"remaining": 0}


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], "no_lines"),
        ([wanted(quantity=0)], "quantity_out_of_range"),
        ([wanted("Z")], "unknown_line"),
        ([wanted("A")], "ambiguous_sku"),
    ],
)
def test_a_parcel_names_pieces_of_the_order(lines: list[LineRequest], code: str) -> None:
    order = confirmed(lines=[line(1, "A"), line(2, "A")])
    error = refused(lambda: decisions.create(order, None, shipment_id=P1, lines=lines))
    assert error.code == code


def test_an_order_has_a_bounded_number_of_parcels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.shipment.decisions.packing.MOST_SHIPMENTS", 1)
    error = refused(lambda: create(confirmed(), given(created(), cancelled())))
    assert error.code == "too_many_shipments"


@pytest.mark.parametrize("decide", [create, dispatch])
@pytest.mark.parametrize(
    ("order", "status"),
    [
        (here(), "pending"),
        (confirmed(HELD), "confirmed"),
        (confirmed(OrderCompleted(ORDER_ID)), "completed"),
    ],
)
def test_nothing_is_packed_or_leaves_unless_the_order_is_confirmed_and_not_on_hold(
    decide: Callable[[Order, Shipments | None], object], order: Order, status: str
) -> None:
    packed = given(created())
    error = refused(lambda: decide(order, packed))
    assert (error.code, error.extra) == ("illegal_transition", {"order_status": status})
    assert not guards.may_dispatch(order, packed.shipments[0])


def test_a_released_order_is_dispatched() -> None:
    order = confirmed(HELD, OrderHoldReleased(ORDER_ID, "fine"))
    assert dispatch(order, given(created())) == (
        ShipmentDispatched(ORDER_ID, P1, "dhl", "0034", SOON),
    )


@pytest.mark.parametrize(
    ("later", "status"),
    [
        ((dispatched(),), "dispatched"),
        ((dispatched(), delivered()), "delivered"),
        ((dispatched(), came_back()), "returned_to_sender"),
        ((cancelled(),), "cancelled"),
    ],
)
def test_a_parcel_leaves_once_and_is_unpacked_only_before(
    later: tuple[ShipmentEvent, ...], status: str
) -> None:
    shipments = given(created(), *later)
    decide: list[Callable[[], object]] = [
        lambda: dispatch(confirmed(), shipments),
        lambda: decisions.cancel(shipments, shipment_id=P1, reason="x"),
    ]
    for decision in decide:
        error = refused(decision)
        assert (error.code, error.extra) == ("illegal_transition", {"shipment_status": status})
    assert not guards.may_dispatch(confirmed(), shipments.shipments[0])
    assert not guards.may_cancel(shipments.shipments[0])


def test_a_parcel_that_has_not_left_is_unpacked() -> None:
    assert decisions.cancel(given(created()), shipment_id=P1, reason="torn") == (
        ShipmentCancelled(ORDER_ID, P1, "torn"),
    )


def test_two_parcels_may_have_the_same_tracking_number() -> None:
    first = on_its_way()
    assert decisions.dispatch(
        confirmed(),
        given(created(), dispatched(), created(P2)),
        shipment_id=P2,
        carrier="dhl",
        tracking_number=first.shipments[0].tracking_number,
        estimated_delivery=None,
    )


@pytest.mark.parametrize("shipments", [None, given(created(P2))])
def test_a_parcel_of_another_order_is_not_known(shipments: Shipments | None) -> None:
    decide: list[Callable[[], object]] = [
        lambda: dispatch(confirmed(), shipments),
        lambda: decisions.cancel(shipments, shipment_id=P1, reason="x"),
        lambda: decisions.change_estimate(shipments, shipment_id=P1, estimated_delivery=SOON),
    ]
    for decision in decide:
        assert refused(decision).code == "unknown_shipment"
