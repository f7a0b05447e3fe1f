"""What can have happened to an order's parcels. All parcels of an order share one stream."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from domain.ids import OrderId, ShipmentId, Sku
from domain.personal import FreeText


class TrackingStatus(StrEnum):
    """Where a parcel is, in words that Shopify's, AfterShip's and EasyPost's are mapped to."""

    PRE_TRANSIT = "pre_transit"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    AVAILABLE_FOR_PICKUP = "available_for_pickup"
    ATTEMPTED_DELIVERY = "attempted_delivery"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    EXCEPTION = "exception"
    RETURN_TO_SENDER = "return_to_sender"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ShippedLine:
    line_number: int
    sku: Sku
    quantity: int


@dataclass(frozen=True, slots=True)
class ShipmentCreated:
    """Pieces are set aside for a parcel: to be picked and packed."""

    order_id: OrderId
    shipment_id: ShipmentId
    lines: tuple[ShippedLine, ...]


@dataclass(frozen=True, slots=True)
class ShipmentDispatched:
    """The carrier has it. Attributes: tracking_number: the carrier's; not unique over time."""

    order_id: OrderId
    shipment_id: ShipmentId
    carrier: str
    tracking_number: str | None
    estimated_delivery: datetime | None


@dataclass(frozen=True, slots=True)
class ShipmentTrackingUpdated:
    """A scan that is none of the others.

    Attributes:
        code: the carrier's own word; with `scanned_at` it tells a scan from its repetition.
        scanned_at: when it happened, by the carrier; scans come late and out of order.
        place: a town, as a rule.
    """

    order_id: OrderId
    shipment_id: ShipmentId
    status: TrackingStatus
    code: str
    scanned_at: datetime
    place: FreeText | None
    detail: FreeText | None


@dataclass(frozen=True, slots=True)
class ShipmentOutForDelivery:
    order_id: OrderId
    shipment_id: ShipmentId
    code: str
    scanned_at: datetime
    place: FreeText | None


@dataclass(frozen=True, slots=True)
class DeliveryAttempted:
    order_id: OrderId
    shipment_id: ShipmentId
    code: str
    scanned_at: datetime
    place: FreeText | None
    detail: FreeText | None


@dataclass(frozen=True, slots=True)
class DeliveryExceptionRaised:
    order_id: OrderId
    shipment_id: ShipmentId
    code: str
    scanned_at: datetime
    place: FreeText | None
    detail: FreeText | None


@dataclass(frozen=True, slots=True)
class ShipmentDelivered:
    """Attributes: proof: the carrier's reference of a signature or a photograph, if any."""

    order_id: OrderId
    shipment_id: ShipmentId
    code: str
    scanned_at: datetime
    place: FreeText | None
    proof: FreeText | None


@dataclass(frozen=True, slots=True)
class ShipmentReturnedToSender:
    order_id: OrderId
    shipment_id: ShipmentId
    code: str
    scanned_at: datetime
    place: FreeText | None


@dataclass(frozen=True, slots=True)
class EstimatedDeliveryChanged:
    order_id: OrderId
    shipment_id: ShipmentId
    estimated_delivery: datetime


@dataclass(frozen=True, slots=True)
class ProofOfDeliveryReceived:
    """It came after the delivery was told. Attributes: proof: as in `ShipmentDelivered`."""

    order_id: OrderId
    shipment_id: ShipmentId
    proof: FreeText


@dataclass(frozen=True, slots=True)
class ShipmentCancelled:
    """It was not dispatched, and its pieces may go into another parcel."""

    order_id: OrderId
    shipment_id: ShipmentId
    reason: FreeText


ShipmentEvent: TypeAlias = (
    ShipmentCreated
    | ShipmentDispatched
    | ShipmentTrackingUpdated
    | ShipmentOutForDelivery
    | DeliveryAttempted
    | DeliveryExceptionRaised
    | ShipmentDelivered
    | ShipmentReturnedToSender
    | EstimatedDeliveryChanged
    | ProofOfDeliveryReceived
    | ShipmentCancelled
)
