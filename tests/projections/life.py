"""One order's whole life as six streams: every event that an order can have is in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.envelope import Actor, Envelope, Recorded, Role
from domain.events import DomainEvent, EventOfOrder
from domain.fulfilment import events as f
from domain.fulfilment.events import Step
from domain.ids import ReturnId, ShipmentId, Sku, StreamId
from domain.inventory import events as i
from domain.inventory.location import Location
from domain.money import Currency
from domain.order import events as o
from domain.payment import events as p
from domain.personal import Address, PersonalData
from domain.returns import events as r
from domain.shipment import events as s
from domain.shipment.events import TrackingStatus
from infrastructure.event_store.catalog import CATALOG
from projections.order.document import OrderDocument, fold
from tests.projections.test_order_document import ORDER_ID, placed

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
ONE, TWO, THREE = (ShipmentId(UUID(int=n)) for n in (11, 12, 13))
RETURN = ReturnId(UUID(int=21))
A, B = Sku("A"), Sku("B")
MAIN = Location("main")
ELSEWHERE = PersonalData(shipping_address=Address("FR", city="Lyon"))
PLACED = replace(placed(), fulfilled_here=True)
"""Three of A at 100 on line 1, one of B at 50 on line 2; 375 in all."""


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


ORDER: Sequence[o.OrderEvent] = (
    PLACED,
    o.OrderConfirmed(ORDER_ID),
    o.OrderHeld(ORDER_ID, o.HoldReason.CAPTURE_FAILED, None),
    o.OrderHoldReleased(ORDER_ID, "captured"),
    o.ShippingAddressChanged(ORDER_ID, ELSEWHERE),
    o.OrderRevised(ORDER_ID, (o.RevisedLine(1, A, 2),), "too many"),
)
ENDINGS: Mapping[str, Sequence[o.OrderEvent]] = {
    "completed": (o.OrderCompleted(ORDER_ID), o.OrderPersonalDataForgotten(ORDER_ID)),
    "rejected": (o.OrderRejected(ORDER_ID, "short_stock", "short_stock", (1,)),),
    "expired": (o.OrderExpired(ORDER_ID, "action_not_taken"),),
    "cancelled": (
        o.OrderLinesCancelled(
            ORDER_ID, (o.CancelledLine(2, B, 1),), "dear", o.CancelReason.CUSTOMER
        ),
        o.OrderCancellationRequested(ORDER_ID, "late", o.CancelReason.CUSTOMER),
        o.OrderCancelled(ORDER_ID, "late", o.CancelReason.CUSTOMER),
    ),
}
PAYMENT: Sequence[p.PaymentEvent] = (
    p.PaymentAuthorizationRequested(ORDER_ID, 1, 375, Currency("GBP"), "sandbox"),
    p.PaymentAuthorizationFailed(ORDER_ID, 1, p.DeclineCode.INSUFFICIENT_FUNDS, "no"),
    p.PaymentAuthorizationRequested(ORDER_ID, 2, 375, Currency("GBP"), "sandbox"),
    p.PaymentActionRequired(ORDER_ID, 2, "pi_2", "https://bank.example/confirm?secret=1"),
    p.PaymentAuthorized(ORDER_ID, 2, 375, "pi_2"),
    p.PaymentCaptureRequested(ORDER_ID, str(ONE), 200),
    p.PaymentCaptureFailed(ORDER_ID, str(ONE), "try later", final=False),
    p.PaymentCaptureRequested(ORDER_ID, str(ONE), 200),
    p.PaymentCaptured(ORDER_ID, str(ONE), 200),
    p.PaymentVoidRequested(ORDER_ID),
    p.PaymentVoided(ORDER_ID, 175),
    p.RefundRequested(ORDER_ID, "first", 80, "damaged"),
    p.PaymentRefunded(ORDER_ID, "first", 80),
    p.RefundRequested(ORDER_ID, "second", 20, "sorry"),
    p.RefundFailed(ORDER_ID, "second", "account closed"),
    p.ChargebackReceived(ORDER_ID, "dp_1", 120),
)
ALLOCATION: Sequence[i.AllocationEvent] = (
    i.AllocationReserved(
        ORDER_ID,
        (
            i.AllocatedLine(1, A, MAIN, 2),
            i.AllocatedLine(1, A, Location("north"), 1, 1),
            i.AllocatedLine(2, B, MAIN, 1),
        ),
        hour(1),
    ),
    i.AllocationCommitted(ORDER_ID),
    i.AllocationReleased(ORDER_ID, (i.AllocatedLine(1, A, Location("north"), 1),)),
    i.AllocationShipped(ORDER_ID, ONE, (i.AllocatedLine(1, A, MAIN, 2),)),
    i.AllocationRestocked(ORDER_ID, f"{RETURN}/1", (i.AllocatedLine(1, A, MAIN, 1),)),
    i.AllocationRejected(ORDER_ID, (i.ShortLine(1, A, 3, 2),)),
)
SHIPMENTS: Sequence[s.ShipmentEvent] = (
    s.ShipmentCreated(ORDER_ID, ONE, (s.ShippedLine(1, A, 2),)),
    s.ShipmentDispatched(ORDER_ID, ONE, "Royal Mail", "RM1", None),
    s.EstimatedDeliveryChanged(ORDER_ID, ONE, hour(48)),
    s.ShipmentTrackingUpdated(
        ORDER_ID, ONE, TrackingStatus.IN_TRANSIT, "IT", hour(5), "Leeds", "sorted"
    ),
    s.ShipmentTrackingUpdated(
        ORDER_ID, ONE, TrackingStatus.PRE_TRANSIT, "PT", hour(3), "York", None
    ),
    s.ShipmentOutForDelivery(ORDER_ID, ONE, "OD", hour(7), "London"),
    s.DeliveryAttempted(ORDER_ID, ONE, "DA", hour(8), "London", "nobody there"),
    s.DeliveryExceptionRaised(ORDER_ID, ONE, "EX", hour(9), None, "label lost"),
    s.ShipmentDelivered(ORDER_ID, ONE, "DL", hour(10), "London", "sig-1"),
    s.ShipmentCreated(ORDER_ID, TWO, (s.ShippedLine(2, B, 1),)),
    s.ShipmentCancelled(ORDER_ID, TWO, "wrong box"),
    s.ShipmentCreated(ORDER_ID, THREE, (s.ShippedLine(2, B, 1),)),
    s.ShipmentDispatched(ORDER_ID, THREE, "DHL", None, hour(40)),
    s.ShipmentReturnedToSender(ORDER_ID, THREE, "RT", hour(30), None),
    s.ProofOfDeliveryReceived(ORDER_ID, ONE, "sig-1"),
)
RETURNS: Sequence[r.ReturnEvent] = (
    r.ReturnRequested(
        ORDER_ID, RETURN, (r.ReturnedLine(1, A, 2),), r.ReturnReason.DEFECTIVE, "broken"
    ),
    r.ReturnApproved(ORDER_ID, RETURN),
    r.ReturnReceived(ORDER_ID, RETURN, 1, (r.ReceivedLine(1, A, 1, 1),), 80, 0),
    r.ReturnRefunded(ORDER_ID, RETURN, 1, 80),
    r.ReturnCancelled(ORDER_ID, RETURN, "kept one"),
)
FULFILMENT: Sequence[f.FulfilmentEvent] = (
    f.FulfilmentStarted(ORDER_ID, charged=True),
    f.FulfilmentStepStarted(ORDER_ID, Step.RESERVE, "", 1, hour(1)),
    f.FulfilmentStepDone(ORDER_ID, Step.RESERVE, "", 1),
    f.FulfilmentStepStarted(ORDER_ID, Step.AUTHORIZE, "", 1, hour(0.01)),
    f.FulfilmentStepFailed(ORDER_ID, Step.AUTHORIZE, "", 1, "insufficient_funds", hour(0.02)),
    f.FulfilmentStepTimedOut(ORDER_ID, Step.AUTHORIZE, "", 1),
    f.FulfilmentStepStarted(ORDER_ID, Step.AUTHORIZE, "", 2, hour(0.03)),
    f.FulfilmentStepDone(ORDER_ID, Step.AUTHORIZE, "", 2),
    f.FulfilmentStepStarted(ORDER_ID, Step.SHIP, "", 1, hour(72)),
    f.FulfilmentStepTimedOut(ORDER_ID, Step.SHIP, "", 1),
    f.FulfilmentStepStarted(ORDER_ID, Step.CAPTURE, str(ONE), 1, hour(4)),
    f.FulfilmentStepFailed(ORDER_ID, Step.CAPTURE, str(ONE), 1, "refused", None),
    f.FulfilmentStuck(ORDER_ID, Step.CAPTURE, str(ONE), "refused"),
    f.FulfilmentStepSkipped(ORDER_ID, Step.CAPTURE, str(ONE), "paid in cash"),
    f.FulfilmentCompensating(ORDER_ID, "cancelled", "cancelled"),
    f.FulfilmentStepFailed(ORDER_ID, Step.SHIP, "", 1, "called_off", None),
    f.FulfilmentFailed(ORDER_ID, "cancelled"),
    f.FulfilmentCompleted(ORDER_ID),
)
STREAMS: Mapping[str, Sequence[EventOfOrder]] = {
    "payment": PAYMENT,
    "allocation": ALLOCATION,
    "shipments": SHIPMENTS,
    "returns": RETURNS,
    "fulfilment": FULFILMENT,
}
"""All but the order's own."""


def logged(events: Iterable[tuple[str, EventOfOrder]]) -> list[Recorded[DomainEvent]]:
    """Record events, each on a stream of the order that is named by its kind, an hour apart."""
    versions: dict[str, int] = {}
    log: list[Recorded[DomainEvent]] = []
    for position, (kind, event) in enumerate(events, 1):
        versions[kind] = versions.get(kind, 0) + 1
        envelope = Envelope(
            UUID(int=position), hour(position), Actor("s", Role.SERVICE), "", "", ""
        )
        log.append(
            Recorded(
                position=position,
                stream=StreamId(f"{kind}-{ORDER_ID}"),
                version=versions[kind],
                type=CATALOG.name_of(type(event)),
                order_id=ORDER_ID,
                recorded_at=hour(position),
                envelope=envelope,
                event=event,
            )
        )
    return log


def document(*histories: tuple[str, Sequence[EventOfOrder]]) -> OrderDocument:
    """Fold a placed order and then these parts of streams, one after the other."""
    events = [(kind, event) for kind, history in histories for event in history]
    folded = fold(logged([("order", PLACED), *events]))
    assert folded is not None
    return folded


def texts(folded: OrderDocument) -> list[str]:
    """Give the timeline as the customer reads it, without the first step."""
    return [step["text"] for step in folded.body["timeline"][1:]]
