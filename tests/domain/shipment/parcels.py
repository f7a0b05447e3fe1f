"""Parcels to decide on: given what happened, when something is decided, then events."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any
from uuid import UUID

from domain.ids import ShipmentId, Sku
from domain.order.events import OrderConfirmed, OrderEvent
from domain.order.state import Order
from domain.shipment.decisions import Scan
from domain.shipment.events import (
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentEvent,
    ShipmentReturnedToSender,
    ShippedLine,
    TrackingStatus,
)
from domain.shipment.pieces import LineRequest
from domain.shipment.state import Shipments, evolve
from tests.domain.orders import ORDER_ID, here

P1, P2, P3 = (ShipmentId(UUID(int=n)) for n in (11, 12, 13))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = NOON + timedelta(days=10)
SOON = NOON + timedelta(days=2)


def hour(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def confirmed(*later: OrderEvent, **changes: Any) -> Order:
    """Give a confirmed order of 5 pieces of A on line 1, or of other lines."""
    return here(OrderConfirmed(ORDER_ID), *later, **changes)


def given(*events: ShipmentEvent) -> Shipments:
    shipments = reduce(evolve, events, None)
    assert shipments is not None
    return shipments


def after(shipments: Shipments | None, events: Sequence[ShipmentEvent]) -> Shipments | None:
    return reduce(evolve, events, shipments)


def wanted(sku: str = "A", quantity: int = 1, line_number: int | None = None) -> LineRequest:
    return LineRequest(Sku(sku), quantity, line_number)


def created(parcel: ShipmentId = P1, quantity: int = 2, number: int = 1) -> ShipmentEvent:
    sku = Sku("ABC"[number - 1])
    return ShipmentCreated(ORDER_ID, parcel, (ShippedLine(number, sku, quantity),))


def dispatched(parcel: ShipmentId = P1) -> ShipmentEvent:
    return ShipmentDispatched(ORDER_ID, parcel, "dhl", "0034", SOON)


def delivered(parcel: ShipmentId = P1, at: datetime = NOON) -> ShipmentEvent:
    return ShipmentDelivered(ORDER_ID, parcel, "DLV", at, None, None)


def came_back(parcel: ShipmentId = P1, at: datetime = NOON) -> ShipmentEvent:
    return ShipmentReturnedToSender(ORDER_ID, parcel, "RTS", at, None)


def cancelled(parcel: ShipmentId = P1) -> ShipmentEvent:
    return ShipmentCancelled(ORDER_ID, parcel, "x")


def on_its_way(*later: ShipmentEvent) -> Shipments:
    return given(created(), dispatched(), *later)


def scan(status: TrackingStatus, at: datetime = NOON, **more: Any) -> Scan:
    said: dict[str, Any] = {"status": status, "code": str(status), "scanned_at": at}
    return Scan(**(said | more))
