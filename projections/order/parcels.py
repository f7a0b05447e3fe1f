"""What the events of its parcels change in the order's document: each parcel and where it is.

Scans stand in the order in which they occurred, whenever they were told. A scan that comes late
is among them, but no news for the timeline.
"""

from collections.abc import Mapping
from operator import itemgetter
from typing import TypeAlias, assert_never

from domain.envelope import Recorded
from domain.events import DomainEvent
from domain.shipment.events import (
    DeliveryAttempted,
    DeliveryExceptionRaised,
    EstimatedDeliveryChanged,
    ProofOfDeliveryReceived,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentEvent,
    ShipmentOutForDelivery,
    ShipmentReturnedToSender,
    ShipmentTrackingUpdated,
    TrackingStatus,
)
from domain.shipment.state import ShipmentStatus
from projections.order.body import Body, maybe_timestamp, pieces, tell, tell_at, timestamp
from projections.order.states import shipment_of

MOST_SCANS = 20
"""Of a parcel, the newest; the history has them all."""

_Scan: TypeAlias = (
    ShipmentTrackingUpdated
    | ShipmentOutForDelivery
    | DeliveryAttempted
    | DeliveryExceptionRaised
    | ShipmentDelivered
    | ShipmentReturnedToSender
)
_Later: TypeAlias = (
    ShipmentDispatched
    | EstimatedDeliveryChanged
    | ProofOfDeliveryReceived
    | ShipmentCancelled
    | _Scan
)
_WORDS: Mapping[TrackingStatus, str] = {
    TrackingStatus.PRE_TRANSIT: "Announced to the carrier",
    TrackingStatus.IN_TRANSIT: "On its way",
    TrackingStatus.OUT_FOR_DELIVERY: "Out for delivery",
    TrackingStatus.AVAILABLE_FOR_PICKUP: "Ready to be picked up",
    TrackingStatus.ATTEMPTED_DELIVERY: "Nobody could take the parcel",
    TrackingStatus.DELAYED: "Delayed",
    TrackingStatus.DELIVERED: "Delivered",
    TrackingStatus.EXCEPTION: "A problem on the way",
    TrackingStatus.RETURN_TO_SENDER: "On its way back to the sender",
    TrackingStatus.EXPIRED: "Nothing heard of the parcel for long",
    TrackingStatus.UNKNOWN: "News from the carrier",
}


def change(body: Body, event: ShipmentEvent, recorded: Recorded[DomainEvent]) -> None:
    if isinstance(event, ShipmentCreated):
        body["shipments"] = [*body["shipments"], _created(event)]
        tell(body, recorded, "shipment_created", f"{pieces(event.lines)} being packed")
        return
    shipment_id = str(event.shipment_id)
    [before] = [one for one in body["shipments"] if one["shipment_id"] == shipment_id]
    after = _moved(before, event, recorded)
    after["tracking_status"] = _or_none(shipment_of(after).tracking)
    body["shipments"] = [after if one is before else one for one in body["shipments"]]
    _tell(body, event, before, recorded)


def _created(event: ShipmentCreated) -> Body:
    return {
        "shipment_id": str(event.shipment_id),
        "status": str(ShipmentStatus.CREATED),
        "tracking_status": None,
        "carrier": None,
        "tracking_number": None,
        "lines": [
            {"line_number": line.line_number, "sku": line.sku, "quantity": line.quantity}
            for line in event.lines
        ],
        "estimated_delivery": None,
        "dispatched_at": None,
        "delivered_at": None,
        "proof": None,
        "scans": [],
    }


def _moved(
    parcel: Body,
    event: _Later,
    recorded: Recorded[DomainEvent],
) -> Body:
    match event:
        case ShipmentDispatched():
            return parcel | {
                "status": str(ShipmentStatus.DISPATCHED),
                "carrier": event.carrier,
                "tracking_number": event.tracking_number,
                "estimated_delivery": maybe_timestamp(event.estimated_delivery),
                "dispatched_at": timestamp(recorded.envelope.occurred_at),
            }
        case EstimatedDeliveryChanged():
            return parcel | {"estimated_delivery": timestamp(event.estimated_delivery)}
        case ProofOfDeliveryReceived():
            return parcel | {"proof": event.proof}
        case ShipmentCancelled():
            return parcel | {"status": str(ShipmentStatus.CANCELLED)}
        case ShipmentDelivered():
            return _scanned(parcel, event) | {
                "status": str(ShipmentStatus.DELIVERED),
                "delivered_at": timestamp(event.scanned_at),
                "proof": event.proof,
            }
        case _:
            back = isinstance(event, ShipmentReturnedToSender)
            status = ShipmentStatus.RETURNED_TO_SENDER if back else parcel["status"]
            return _scanned(parcel, event) | {"status": str(status)}


def _scanned(parcel: Body, event: _Scan) -> Body:
    scan = {
        "status": str(_status(event)),
        "code": event.code,
        "at": timestamp(event.scanned_at),
        "place": event.place,
        "detail": getattr(event, "detail", None),
    }
    return parcel | {"scans": sorted([*parcel["scans"], scan], key=itemgetter("at"))[-MOST_SCANS:]}


def _status(event: _Scan) -> TrackingStatus:
    match event:
        case ShipmentTrackingUpdated():
            return event.status
        case ShipmentOutForDelivery():
            return TrackingStatus.OUT_FOR_DELIVERY
        case DeliveryAttempted():
            return TrackingStatus.ATTEMPTED_DELIVERY
        case DeliveryExceptionRaised():
            return TrackingStatus.EXCEPTION
        case ShipmentDelivered():
            return TrackingStatus.DELIVERED
        case ShipmentReturnedToSender():
            return TrackingStatus.RETURN_TO_SENDER
        case _:
            assert_never(event)


def _tell(
    body: Body,
    event: _Later,
    before: Body,
    recorded: Recorded[DomainEvent],
) -> None:
    """Tell the customer, but not of what we pack again, nor of a scan that comes late."""
    if isinstance(event, ShipmentCancelled):
        return
    if isinstance(event, ShipmentDispatched):
        sent = sum(line["quantity"] for line in before["lines"])
        text = f"{sent} piece{'' if sent == 1 else 's'} sent with {event.carrier}"
        tell(body, recorded, "shipment_dispatched", text)
    elif isinstance(event, EstimatedDeliveryChanged):
        day = f"{event.estimated_delivery:%Y-%m-%d}"
        tell(body, recorded, "estimated_delivery_changed", f"Expected to arrive on {day}")
    elif isinstance(event, ProofOfDeliveryReceived):
        tell(body, recorded, "proof_of_delivery_received", "Proof of delivery received")
    elif _is_news(event, before):
        at, status = timestamp(event.scanned_at), _status(event)
        where = "" if event.place is None else f" in {event.place}"
        tell_at(body, at, str(status), f"{_WORDS[status]}{where}")


def _is_news(event: _Scan, before: Body) -> bool:
    if isinstance(event, ShipmentDelivered | ShipmentReturnedToSender):
        return True
    is_on_its_way = before["status"] == ShipmentStatus.DISPATCHED
    newest = before["scans"][-1]["at"] if before["scans"] else ""
    return is_on_its_way and timestamp(event.scanned_at) >= newest


def _or_none(status: TrackingStatus | None) -> str | None:
    return None if status is None else str(status)
