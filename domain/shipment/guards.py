"""When something may be decided on parcels: what the decisions refuse, nobody is offered.

The same functions stand behind the decisions and behind the list of legal actions.
"""

from domain.order.guards import may_ship
from domain.order.state import Order
from domain.shipment.state import LEFT, Shipment, Shipments, ShipmentStatus
from domain.shipment.status import parcel_pieces


def may_create(order: Order, shipments: Shipments | None) -> bool:
    """Whether some wanted piece is in no parcel, and parcels may be packed."""
    packed = parcel_pieces(shipments)
    return may_ship(order) and any(
        order.remaining(line) > packed.get(line.line_number, 0) for line in order.lines
    )


def may_dispatch(order: Order, shipment: Shipment) -> bool:
    return may_ship(order) and shipment.status is ShipmentStatus.CREATED


def may_cancel(shipment: Shipment) -> bool:
    """Whether its pieces may go into another parcel: not once it has left."""
    return shipment.status is ShipmentStatus.CREATED


def may_track(shipment: Shipment) -> bool:
    """Whether a carrier may tell of it: also after it arrived, for scans come late."""
    return shipment.status in LEFT


def may_change_estimate(shipment: Shipment) -> bool:
    return shipment.status is ShipmentStatus.DISPATCHED
