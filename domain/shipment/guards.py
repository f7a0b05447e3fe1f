"""When something may be decided on a parcel; whether one may be created, the order says."""

from domain.order.guards import may_ship
from domain.order.state import Order
from domain.shipment.state import LEFT, Shipment, ShipmentStatus


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
