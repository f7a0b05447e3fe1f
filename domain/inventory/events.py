"""What can have happened to a stock item, and to the stock of one order (its allocation)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from domain.ids import OrderId, ShipmentId, Sku
from domain.inventory.location import Location
from domain.money import Currency


class AdjustReason(StrEnum):
    COUNTED = "counted"
    DAMAGED = "damaged"
    LOST = "lost"
    FOUND = "found"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class StockItemListed:
    """A sku is kept at a location from now on; again: its name, price or backorders changed."""

    sku: Sku
    location: Location
    name: str
    unit_price_minor: int
    currency: Currency
    allow_backorder: bool


@dataclass(frozen=True, slots=True)
class StockReceived:
    sku: Sku
    location: Location
    quantity: int


@dataclass(frozen=True, slots=True)
class StockAdjusted:
    """Attributes: change: pieces, below zero for fewer; reason: in a word, and in words."""

    sku: Sku
    location: Location
    change: int
    reason_code: AdjustReason
    reason: str


@dataclass(frozen=True, slots=True)
class StockReserved:
    """Pieces are held for an order until `expires_at`, and then still, until somebody says so.

    Attributes: backordered: how many of `quantity` were not there yet.
    """

    sku: Sku
    location: Location
    order_id: OrderId
    line_number: int
    quantity: int
    backordered: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StockReservationReleased:
    sku: Sku
    location: Location
    order_id: OrderId
    line_number: int
    quantity: int


@dataclass(frozen=True, slots=True)
class StockReservationExpired:
    sku: Sku
    location: Location
    order_id: OrderId
    line_number: int
    quantity: int


@dataclass(frozen=True, slots=True)
class StockCommitted:
    """What was reserved is the order's for good, without a time to live."""

    sku: Sku
    location: Location
    order_id: OrderId
    line_number: int
    quantity: int


@dataclass(frozen=True, slots=True)
class StockShipped:
    """Committed pieces have left the building."""

    sku: Sku
    location: Location
    order_id: OrderId
    line_number: int
    quantity: int


@dataclass(frozen=True, slots=True)
class StockRestocked:
    """Returned pieces are for sale again."""

    sku: Sku
    location: Location
    order_id: OrderId
    line_number: int
    quantity: int


StockEvent: TypeAlias = (
    StockItemListed
    | StockReceived
    | StockAdjusted
    | StockReserved
    | StockReservationReleased
    | StockReservationExpired
    | StockCommitted
    | StockShipped
    | StockRestocked
)


@dataclass(frozen=True, slots=True)
class AllocatedLine:
    """Pieces of one line at one location; a line may be split over several.

    Attributes: backordered: how many of `quantity` were not there yet when they were reserved.
    """

    line_number: int
    sku: Sku
    location: Location
    quantity: int
    backordered: int = 0


@dataclass(frozen=True, slots=True)
class ShortLine:
    """A line that could not be had.

    Attributes: available: pieces of all locations that earlier lines of the sku had left for it.
    """

    line_number: int
    sku: Sku
    wanted: int
    available: int


@dataclass(frozen=True, slots=True)
class AllocationReserved:
    """Every line of the order is held: in the same append as the stock events."""

    order_id: OrderId
    lines: tuple[AllocatedLine, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AllocationRejected:
    """Some line fell short, and nothing was held."""

    order_id: OrderId
    short: tuple[ShortLine, ...]


@dataclass(frozen=True, slots=True)
class AllocationCommitted:
    order_id: OrderId


@dataclass(frozen=True, slots=True)
class AllocationReleased:
    """What was still held is for sale again: all of it, or the pieces of cancelled lines.

    Where it is the first event, the order was off before anything was held, and nothing will be.

    Attributes: expired: because the time ran out, not because somebody asked.
    """

    order_id: OrderId
    lines: tuple[AllocatedLine, ...]
    expired: bool = False


@dataclass(frozen=True, slots=True)
class AllocationShipped:
    """A parcel has left with these pieces of the allocation.

    Attributes: lines: without pieces that had left before, and came back to the sender.
    """

    order_id: OrderId
    shipment_id: ShipmentId
    lines: tuple[AllocatedLine, ...]


@dataclass(frozen=True, slots=True)
class AllocationRestocked:
    """Pieces that came with a return are for sale again, where they had left from.

    Attributes: subject: which receipt of which return, as the saga's step names it.
    """

    order_id: OrderId
    subject: str
    lines: tuple[AllocatedLine, ...]


AllocationEvent: TypeAlias = (
    AllocationReserved
    | AllocationRejected
    | AllocationCommitted
    | AllocationReleased
    | AllocationShipped
    | AllocationRestocked
)
