"""What carriers tell of a parcel: late, twice, and in any order.

Rules: a scan that was recorded is not recorded again; (code, scanned_at) tells it from others of
its parcel. The first scan that ends the way of a parcel (delivered, or returned to sender) ends
it for good: `ShipmentDelivered` and `ShipmentReturnedToSender` are decided once, and a later end
is only noted; but a proof of the delivery that comes after it is kept, the first one. And of
estimates that of the newest scan counts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.errors import DomainError
from domain.ids import OrderId, ShipmentId
from domain.shipment.decisions.refusals import find_shipment, require
from domain.shipment.events import (
    DeliveryAttempted,
    DeliveryExceptionRaised,
    EstimatedDeliveryChanged,
    ProofOfDeliveryReceived,
    ShipmentDelivered,
    ShipmentEvent,
    ShipmentOutForDelivery,
    ShipmentReturnedToSender,
    ShipmentTrackingUpdated,
    TrackingStatus,
)
from domain.shipment.guards import may_change_estimate, may_track
from domain.shipment.state import Shipment, Shipments, ShipmentStatus

MOST_SCANS = 1_000
"""Scans of one parcel, but for the one that ends its way; a real one has dozens."""
AHEAD = timedelta(days=1)
"""How far a carrier's clock may be ahead: one that writes local time for UTC is up to 14 h."""

_ENDS = (TrackingStatus.DELIVERED, TrackingStatus.RETURN_TO_SENDER)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a carrier says of a parcel.

    Attributes:
        code: the carrier's own word for it.
        scanned_at: when it happened, by the carrier; aware UTC.
        place: a town, as a rule.
        detail: in words.
        estimated_delivery: what the carrier expects since then, if it says so.
        proof: its reference of a signature or a photograph; of a delivery only.
    """

    status: TrackingStatus
    code: str
    scanned_at: datetime
    place: str | None = None
    detail: str | None = None
    estimated_delivery: datetime | None = None
    proof: str | None = None


def record_scan(
    shipments: Shipments | None, *, shipment_id: ShipmentId, scan: Scan, now: datetime
) -> tuple[ShipmentEvent, ...]:
    """Decide what a scan says that is new; nothing, where it was recorded before.

    Raises:
        DomainError: `unknown_shipment`; `illegal_transition` unless the parcel was dispatched;
            `scanned_in_future` for more than a day ahead of `now`; `too_many_scans`.
    """
    found, shipment = find_shipment(shipments, shipment_id)
    require(may_track(shipment), shipment)
    if scan.scanned_at > now + AHEAD:
        # It would stand last for years, and every true scan would be older news.
        raise DomainError("scanned_in_future", "this has not happened yet", field="/scanned_at")
    beside = (
        *_proof_of(found.order_id, shipment, scan),
        *_estimate_of(found.order_id, shipment, scan),
    )
    if shipment.knows(scan.code, scan.scanned_at):
        return beside
    ends = scan.status in _ENDS and shipment.status is ShipmentStatus.DISPATCHED
    if len(shipment.scans) >= MOST_SCANS and not ends:
        raise DomainError("too_many_scans", f"a parcel has at most {MOST_SCANS} scans")
    return (_event_of(found.order_id, shipment, scan), *beside)


def change_estimate(
    shipments: Shipments | None, *, shipment_id: ShipmentId, estimated_delivery: datetime
) -> tuple[ShipmentEvent, ...]:
    """Decide that it is expected at another time; nothing, where it is expected then.

    Raises:
        DomainError: `unknown_shipment`; `illegal_transition` unless it is on its way.
    """
    found, shipment = find_shipment(shipments, shipment_id)
    require(may_change_estimate(shipment), shipment)
    if estimated_delivery == shipment.estimated_delivery:
        return ()
    return (EstimatedDeliveryChanged(found.order_id, shipment_id, estimated_delivery),)


def _proof_of(order_id: OrderId, shipment: Shipment, scan: Scan) -> tuple[ShipmentEvent, ...]:
    arrived = shipment.status is ShipmentStatus.DELIVERED
    if scan.proof is None or scan.status is not TrackingStatus.DELIVERED or not arrived:
        return ()
    if shipment.proof is not None:
        return ()
    return (ProofOfDeliveryReceived(order_id, shipment.shipment_id, scan.proof),)


def _estimate_of(order_id: OrderId, shipment: Shipment, scan: Scan) -> tuple[ShipmentEvent, ...]:
    estimate = scan.estimated_delivery
    newest = not shipment.scans or scan.scanned_at >= shipment.scans[-1].scanned_at
    if estimate in (None, shipment.estimated_delivery) or not newest or scan.status in _ENDS:
        return ()
    if not may_change_estimate(shipment):
        return ()
    return (EstimatedDeliveryChanged(order_id, shipment.shipment_id, estimate),)


def _event_of(order_id: OrderId, shipment: Shipment, scan: Scan) -> ShipmentEvent:
    told = (order_id, shipment.shipment_id, scan.code, scan.scanned_at, scan.place)
    under_way = shipment.status is ShipmentStatus.DISPATCHED
    match scan.status:
        case TrackingStatus.DELIVERED if under_way:
            return ShipmentDelivered(*told, scan.proof)
        case TrackingStatus.RETURN_TO_SENDER if under_way:
            return ShipmentReturnedToSender(*told)
        case TrackingStatus.OUT_FOR_DELIVERY:
            return ShipmentOutForDelivery(*told)
        case TrackingStatus.ATTEMPTED_DELIVERY:
            return DeliveryAttempted(*told, scan.detail)
        case TrackingStatus.EXCEPTION:
            return DeliveryExceptionRaised(*told, scan.detail)
        case _:
            return ShipmentTrackingUpdated(
                order_id=order_id,
                shipment_id=shipment.shipment_id,
                status=scan.status,
                code=scan.code,
                scanned_at=scan.scanned_at,
                place=scan.place,
                detail=scan.detail,
            )
