"""What may be done with an order, by status and role; and that the decisions agree."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from domain.actions import legal_actions
from domain.envelope import Role
from domain.errors import DomainError
from domain.fulfilment.facts import Facts, ParcelFacts, ParcelStatus, ReturnFacts, ReturnStatus
from domain.fulfilment.overview import facts_of
from domain.fulfilment.standing import promised
from domain.ids import ShipmentId, Sku
from domain.order import decisions
from domain.order.decisions import LineToCancel, LineToRevise
from domain.order.events import (
    HoldReason,
    OrderCancellationRequested,
    OrderCompleted,
    OrderConfirmed,
    OrderEvent,
    OrderHeld,
    OrderPersonalDataForgotten,
    OrderRejected,
)
from domain.order.state import Order
from domain.payment.events import ChargebackReceived, PaymentEvent, RefundFailed
from domain.personal import Address, PersonalData
from domain.shipment.guards import may_track
from domain.shipment.state import Shipment, Shipments, ShipmentStatus
from tests.domain.fulfilment.scenes import CAPTURED, RETURN_ID, parcel, receipt
from tests.domain.orders import ORDER_ID, WHY, given, here, place
from tests.domain.payment.payments import AUTHORIZED, after, capture, refund

CONFIRMED = OrderConfirmed(ORDER_ID)
HELD = OrderHeld(ORDER_ID, HoldReason.OTHER, "x")
CHANGES = ("cancel", "cancel_lines", "revise_lines", "change_address")
BACK = ParcelFacts("p1", ParcelStatus.RETURNED, {1: 5})
SENT_BACK = RefundFailed(ORDER_ID, f"{RETURN_ID}/1", "sent back")


def requested(status: ReturnStatus) -> ReturnFacts:
    return ReturnFacts(RETURN_ID, status, {1: 5})


@pytest.mark.parametrize(
    ("order", "facts", "actions"),
    [
        (given(place()), {}, (*CHANGES, "hold")),
        (here(), {}, (*CHANGES, "hold")),
        (here(CONFIRMED), {}, (*CHANGES, "hold", "create_shipment")),
        (here(CONFIRMED, HELD), {}, (*CHANGES, "release_hold")),
        (
            here(CONFIRMED),
            {"parcels": (parcel(ParcelStatus.PACKED),)},
            ("cancel", "change_address", "hold", "dispatch_shipment", "cancel_shipment"),
        ),
        (
            here(CONFIRMED, HELD),
            {"parcels": (parcel(ParcelStatus.PACKED),)},
            ("cancel", "change_address", "release_hold", "cancel_shipment"),
        ),
        (
            here(CONFIRMED),
            {"parcels": (parcel(quantity=2),)},
            ("cancel_lines", "revise_lines", "hold", "create_shipment", "record_tracking"),
        ),
        (
            here(CONFIRMED),
            {"parcels": (BACK,)},
            (*CHANGES, "hold", "create_shipment", "record_tracking"),
        ),
        (
            here(CONFIRMED, OrderCompleted(ORDER_ID)),
            {"parcels": (parcel(ParcelStatus.DELIVERED),), "payment": CAPTURED},
            ("record_tracking", "request_return", "refund"),
        ),
        (
            here(CONFIRMED, OrderCompleted(ORDER_ID)),
            {
                "parcels": (parcel(ParcelStatus.DELIVERED),),
                "returns": (requested(ReturnStatus.REQUESTED),),
            },
            ("record_tracking", "approve_return", "cancel_return"),
        ),
        (
            here(CONFIRMED, OrderCompleted(ORDER_ID)),
            {
                "parcels": (parcel(ParcelStatus.DELIVERED),),
                "returns": (requested(ReturnStatus.APPROVED),),
            },
            ("record_tracking", "receive_return", "cancel_return"),
        ),
        (here(OrderRejected(ORDER_ID, "x", "x")), {}, ()),
        (here(OrderCancellationRequested(ORDER_ID, "x", WHY)), {}, ()),
    ],
)
def test_what_a_merchant_may_do_follows_from_where_the_order_stands(
    order: Order, facts: dict[str, Any], actions: tuple[str, ...]
) -> None:
    assert legal_actions(order, Facts(**facts), Role.MERCHANT) == actions


def test_what_is_promised_for_returns_is_not_refunded_once_more() -> None:
    facts = Facts(payment=CAPTURED, returns=(receipt(refund_minor=500),))
    assert "refund" not in legal_actions(here(CONFIRMED), facts, Role.MERCHANT)


@pytest.mark.parametrize(
    ("refunding", "left"),
    [({"manual/1": 400}, False), ({"manual/1": 399}, True), ({f"{RETURN_ID}/1": 100}, True)],
)
def test_what_is_on_its_way_back_is_not_refunded_once_more(
    refunding: dict[str, int], *, left: bool
) -> None:
    payment = replace(CAPTURED, refunding=refunding)
    facts = Facts(payment=payment, returns=(receipt(refund_minor=100),))
    assert ("refund" in legal_actions(here(CONFIRMED), facts, Role.MERCHANT)) is left


@pytest.mark.parametrize(
    ("moved", "told_minor", "left_minor"),
    [
        ((), None, 20),
        (refund(f"{RETURN_ID}/1", 80)[:1], None, 20),
        (refund(f"{RETURN_ID}/1", 80), 80, 20),
        ((*refund(f"{RETURN_ID}/1", 80), SENT_BACK), 80, 20),
        ((*refund(f"{RETURN_ID}/1", 80), SENT_BACK), 0, 100),
        ((), 0, 100),
        ((ChargebackReceived(ORDER_ID, "d", 20), *refund(f"{RETURN_ID}/1", 80)[:1]), None, 0),
    ],
)
def test_as_much_is_refunded_by_hand_as_is_listed(
    moved: tuple[PaymentEvent, ...], told_minor: int | None, left_minor: int
) -> None:
    """What is owed for a return comes first, also again after the bank sent it back.

    What people have left out (`told_minor` is 0) is theirs to give back in another way.
    """
    payment = after([*AUTHORIZED, *capture("p1", 100), *moved])
    facts = facts_of(allocation=None, payment=payment, shipments=None, returns=None)
    facts = replace(facts, returns=(receipt(refund_minor=80, refunded_minor=told_minor),))
    assert payment.unpromised_minor(promised(facts)) == left_minor
    listed = "refund" in legal_actions(here(CONFIRMED), facts, Role.MERCHANT)
    assert listed is (left_minor > 0)


def test_no_address_is_kept_of_who_was_forgotten() -> None:
    order = here(CONFIRMED, OrderPersonalDataForgotten(ORDER_ID))
    for role in Role:
        assert "change_address" not in legal_actions(order, Facts(), role)
    elsewhere = PersonalData(shipping_address=Address("GB"))
    with pytest.raises(DomainError) as caught:
        decisions.change_address(order, Facts().live_parcels(), personal=elsewhere)
    assert caught.value.code == "customer_forgotten"


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.SERVICE])
def test_customers_and_shops_change_orders_and_neither_ship_nor_refund(role: Role) -> None:
    facts = Facts(parcels=(parcel(ParcelStatus.PACKED, quantity=2),), payment=CAPTURED)
    assert legal_actions(here(CONFIRMED), facts, role) == CHANGES


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.AUDITOR])
def test_readers_change_nothing(role: Role) -> None:
    assert legal_actions(here(CONFIRMED), Facts(), role) == ()


DECISIONS: dict[str, Callable[[Order, Facts], object]] = {
    "cancel": lambda order, facts: decisions.request_cancellation(
        order, facts.live_parcels(), reason="x", reason_code=WHY
    ),
    "cancel_lines": lambda order, facts: decisions.cancel_lines(
        order,
        facts.live_parcels(),
        lines=[LineToCancel(Sku("A"), 1)],
        reason="x",
        reason_code=WHY,
    ),
    "revise_lines": lambda order, facts: decisions.revise(
        order, facts.live_parcels(), lines=[LineToRevise(Sku("A"), 4)], reason="x"
    ),
    "change_address": lambda order, facts: decisions.change_address(
        order, facts.live_parcels(), personal=PersonalData(shipping_address=Address("GB"))
    ),
    "hold": lambda order, _: decisions.hold(order, reason="x"),
    "release_hold": lambda order, _: decisions.release_hold(order, reason="x"),
}


@pytest.mark.parametrize("name", DECISIONS)
@pytest.mark.parametrize("parcels", [(), (parcel(ParcelStatus.PACKED),), (parcel(),), (BACK,)])
@pytest.mark.parametrize(
    "before",
    [
        (),
        (HELD,),
        (CONFIRMED,),
        (CONFIRMED, HELD),
        (CONFIRMED, OrderCompleted(ORDER_ID)),
        (OrderCancellationRequested(ORDER_ID, "x", WHY),),
    ],
)
def test_what_is_listed_is_what_is_not_refused(
    name: str, parcels: tuple[ParcelFacts, ...], before: tuple[OrderEvent, ...]
) -> None:
    order, facts = here(*before), Facts(parcels=parcels)
    try:
        DECISIONS[name](order, facts)
        refused = False
    except DomainError:
        refused = True
    assert (name in legal_actions(order, facts, Role.MERCHANT)) is not refused


@pytest.mark.parametrize("status", ShipmentStatus)
def test_scans_are_listed_where_they_are_taken(status: ShipmentStatus) -> None:
    one = Shipment(ShipmentId(UUID(int=9)), (), status)
    shipments = Shipments(ORDER_ID, (one,))
    facts = facts_of(allocation=None, payment=None, shipments=shipments, returns=None)
    listed = legal_actions(here(CONFIRMED), facts, Role.MERCHANT)
    assert ("record_tracking" in listed) == may_track(one)
