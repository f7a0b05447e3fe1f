"""How far an order's parcels have come: one word for the order, and pieces by line.

Shipped pieces include delivered ones, as delivered ones include those that came back later. A
parcel that went back to its sender has shipped nothing.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from domain.order.parcels import Parcels
from domain.order.state import Order
from domain.shipment.pieces import count
from domain.shipment.state import LIVE, Shipments, ShipmentStatus


class FulfillmentStatus(StrEnum):
    UNFULFILLED = "unfulfilled"
    PARTIALLY_FULFILLED = "partially_fulfilled"
    FULFILLED = "fulfilled"
    """Everything wanted has left, and nothing of it has arrived."""
    PARTIALLY_DELIVERED = "partially_delivered"
    DELIVERED = "delivered"


def fulfillment_status(order: Order, shipments: Shipments | None) -> FulfillmentStatus:
    """Tell how much of what is still wanted has left and has arrived."""
    wanted = sum(order.remaining(line) for line in order.lines)
    delivered = sum(delivered_pieces(shipments).values())
    shipped = sum(shipped_pieces(shipments).values())
    if delivered:
        everything = delivered >= wanted
        return FulfillmentStatus.DELIVERED if everything else FulfillmentStatus.PARTIALLY_DELIVERED
    if shipped:
        everything = shipped >= wanted
        return FulfillmentStatus.FULFILLED if everything else FulfillmentStatus.PARTIALLY_FULFILLED
    return FulfillmentStatus.UNFULFILLED


def shipped_pieces(shipments: Shipments | None) -> Mapping[int, int]:
    """Give the pieces that left and did not come back undelivered, by line number."""
    return _pieces(shipments, ShipmentStatus.DISPATCHED, ShipmentStatus.DELIVERED)


def delivered_pieces(shipments: Shipments | None) -> Mapping[int, int]:
    """Give the pieces that arrived, by line number."""
    return _pieces(shipments, ShipmentStatus.DELIVERED)


def parcel_pieces(shipments: Shipments | None) -> Mapping[int, int]:
    """Give the pieces that are in some live parcel, packed or gone, by line number."""
    return _pieces(shipments, *LIVE)


def parcels_of(shipments: Shipments | None) -> Parcels:
    """Tell the order's rules what they must know of its live parcels.

    One that went back binds nobody: its pieces may be cancelled, or sent to a better address.
    """
    return Parcels(
        pieces=parcel_pieces(shipments), dispatched=any(shipped_pieces(shipments).values())
    )


def _pieces(shipments: Shipments | None, *statuses: ShipmentStatus) -> Mapping[int, int]:
    parcels = () if shipments is None else shipments.shipments
    return MappingProxyType(
        count(
            [
                (line.line_number, line.quantity)
                for parcel in parcels
                if parcel.status in statuses
                for line in parcel.lines
            ]
        )
    )
