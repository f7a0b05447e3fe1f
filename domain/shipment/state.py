"""What decisions need to know of an order's parcels, folded from their events. No rules here.

A parcel's scans stand in the order in which they occurred, whenever they were told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import TypeAlias

from domain.aggregate import Aggregate
from domain.ids import OrderId, ShipmentId
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
    ShippedLine,
    TrackingStatus,
)


class ShipmentStatus(StrEnum):
    CREATED = "created"
    DISPATCHED = "dispatched"
    DELIVERED = "delivered"
    RETURNED_TO_SENDER = "returned_to_sender"
    """It comes back, or is back: its pieces may go into a new parcel."""
    CANCELLED = "cancelled"


LEFT = (ShipmentStatus.DISPATCHED, ShipmentStatus.DELIVERED, ShipmentStatus.RETURNED_TO_SENDER)
"""A carrier has it or has had it, and may tell of it."""
LIVE = (ShipmentStatus.CREATED, ShipmentStatus.DISPATCHED, ShipmentStatus.DELIVERED)
"""Its pieces are not to be had for another parcel."""


@dataclass(frozen=True, slots=True)
class KnownScan:
    """A scan that was recorded; `code` and `scanned_at` tell it from others of its parcel."""

    code: str
    scanned_at: datetime
    status: TrackingStatus


@dataclass(frozen=True, slots=True)
class Shipment:
    """One parcel.

    Attributes:
        carrier, tracking_number: known once it is dispatched.
        scans: in the order of `scanned_at`.
        proof: the carrier's reference of a signature or a photograph.
    """

    shipment_id: ShipmentId
    lines: tuple[ShippedLine, ...]
    status: ShipmentStatus = ShipmentStatus.CREATED
    carrier: str | None = None
    tracking_number: str | None = None
    estimated_delivery: datetime | None = None
    scans: tuple[KnownScan, ...] = ()
    proof: str | None = None

    @property
    def tracking(self) -> TrackingStatus | None:
        """Where it is: what ended its way, or else its last scan; None before the first."""
        match self.status:
            case ShipmentStatus.DELIVERED:
                return TrackingStatus.DELIVERED
            case ShipmentStatus.RETURNED_TO_SENDER:
                return TrackingStatus.RETURN_TO_SENDER
            case _:
                return self.scans[-1].status if self.scans else None

    def knows(self, code: str, scanned_at: datetime) -> bool:
        """Whether this scan was recorded already."""
        return any(scan.code == code and scan.scanned_at == scanned_at for scan in self.scans)


@dataclass(frozen=True, slots=True)
class Shipments:
    """All parcels of an order, in the order in which they were created."""

    order_id: OrderId
    shipments: tuple[Shipment, ...]

    def find(self, shipment_id: ShipmentId) -> Shipment | None:
        return next((one for one in self.shipments if one.shipment_id == shipment_id), None)


_Told: TypeAlias = (
    ShipmentOutForDelivery
    | DeliveryAttempted
    | DeliveryExceptionRaised
    | ShipmentDelivered
    | ShipmentReturnedToSender
)
_SAYS: Mapping[type[_Told], TrackingStatus] = {
    ShipmentOutForDelivery: TrackingStatus.OUT_FOR_DELIVERY,
    DeliveryAttempted: TrackingStatus.ATTEMPTED_DELIVERY,
    DeliveryExceptionRaised: TrackingStatus.EXCEPTION,
    ShipmentDelivered: TrackingStatus.DELIVERED,
    ShipmentReturnedToSender: TrackingStatus.RETURN_TO_SENDER,
}


def evolve(shipments: Shipments | None, event: ShipmentEvent) -> Shipments:
    """Fold one event. An event of a parcel that was never created can't be, and crashes."""
    if isinstance(event, ShipmentCreated):
        before = () if shipments is None else shipments.shipments
        return Shipments(event.order_id, (*before, Shipment(event.shipment_id, event.lines)))
    if shipments is None or shipments.find(event.shipment_id) is None:
        raise AssertionError(f"{type(event).__name__} before ShipmentCreated")
    return replace(
        shipments,
        shipments=tuple(
            _moved(one, event) if one.shipment_id == event.shipment_id else one
            for one in shipments.shipments
        ),
    )


def _moved(
    shipment: Shipment,
    event: (
        ShipmentDispatched
        | EstimatedDeliveryChanged
        | ProofOfDeliveryReceived
        | ShipmentCancelled
        | ShipmentTrackingUpdated
        | _Told
    ),
) -> Shipment:
    match event:
        case ShipmentDispatched():
            return replace(
                shipment,
                status=ShipmentStatus.DISPATCHED,
                carrier=event.carrier,
                tracking_number=event.tracking_number,
                estimated_delivery=event.estimated_delivery,
            )
        case EstimatedDeliveryChanged():
            return replace(shipment, estimated_delivery=event.estimated_delivery)
        case ProofOfDeliveryReceived():
            return replace(shipment, proof=event.proof)
        case ShipmentCancelled():
            return replace(shipment, status=ShipmentStatus.CANCELLED)
        case _:
            return _scanned(shipment, event)


def _scanned(shipment: Shipment, event: ShipmentTrackingUpdated | _Told) -> Shipment:
    says = event.status if isinstance(event, ShipmentTrackingUpdated) else _SAYS[type(event)]
    scan = KnownScan(event.code, event.scanned_at, says)
    status, proof = shipment.status, shipment.proof
    if isinstance(event, ShipmentDelivered):
        status, proof = ShipmentStatus.DELIVERED, event.proof
    if isinstance(event, ShipmentReturnedToSender):
        status = ShipmentStatus.RETURNED_TO_SENDER
    in_order = tuple(sorted((*shipment.scans, scan), key=attrgetter("scanned_at")))
    return replace(shipment, status=status, scans=in_order, proof=proof)


SHIPMENTS: Aggregate[Shipments, ShipmentEvent] = Aggregate("shipments.v2", Shipments, evolve)
