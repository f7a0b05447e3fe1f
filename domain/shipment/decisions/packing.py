"""What people do with a parcel: pack it, hand it to a carrier, or unpack it again.

Rule: no piece is in two live parcels, and none leaves that isn't wanted: of each line
the pieces in live parcels are at most ordered - cancelled.
"""

from collections.abc import Sequence
from datetime import datetime

from domain.errors import DomainError
from domain.ids import ShipmentId
from domain.order.decisions.refusals import require as require_order
from domain.order.guards import may_ship
from domain.order.state import Order
from domain.shipment.decisions.refusals import find_shipment, require
from domain.shipment.events import (
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDispatched,
    ShipmentEvent,
    ShippedLine,
)
from domain.shipment.guards import may_cancel, may_dispatch
from domain.shipment.pieces import LineRequest, add_up
from domain.shipment.state import Shipments
from domain.shipment.status import parcel_pieces

MOST_SHIPMENTS = 1_000
"""Parcels of an order, cancelled ones included."""


def create(
    order: Order,
    shipments: Shipments | None,
    *,
    shipment_id: ShipmentId,
    lines: Sequence[LineRequest],
) -> tuple[ShipmentEvent, ...]:
    """Decide that these pieces go into one parcel.

    Raises:
        DomainError: `illegal_transition` unless the order is confirmed and not on hold;
            `too_many_shipments`, `no_lines`, `quantity_out_of_range`, `unknown_line`,
            `ambiguous_sku`; `quantity_above_remaining` also for pieces in another live parcel.
    """
    _require_shipping(order)
    if shipments is not None and len(shipments.shipments) >= MOST_SHIPMENTS:
        raise DomainError("too_many_shipments", f"an order has at most {MOST_SHIPMENTS} parcels")
    packed = parcel_pieces(shipments)
    wanted = add_up(
        order,
        lines,
        left=lambda line: order.remaining(line) - packed.get(line.line_number, 0),
        purpose="to ship",
    )
    shipped = tuple(ShippedLine(line.line_number, line.sku, pieces) for line, pieces in wanted)
    return (ShipmentCreated(order.order_id, shipment_id, shipped),)


def dispatch(
    order: Order,
    shipments: Shipments | None,
    *,
    shipment_id: ShipmentId,
    carrier: str,
    tracking_number: str | None,
    estimated_delivery: datetime | None,
) -> tuple[ShipmentEvent, ...]:
    """Decide that a carrier has it. The tracking number needn't be unique: carriers reuse them.

    Raises:
        DomainError: `unknown_shipment`; `illegal_transition` unless the order is confirmed and
            not on hold, and the parcel is created.
    """
    _, shipment = find_shipment(shipments, shipment_id)
    _require_shipping(order)
    require(may_dispatch(order, shipment), shipment)
    return (
        ShipmentDispatched(
            order.order_id, shipment_id, carrier, tracking_number, estimated_delivery
        ),
    )


def cancel(
    shipments: Shipments | None, *, shipment_id: ShipmentId, reason: str
) -> tuple[ShipmentEvent, ...]:
    """Decide that it is unpacked; whatever became of its order.

    Raises:
        DomainError: `unknown_shipment`; `illegal_transition` unless it is created.
    """
    found, shipment = find_shipment(shipments, shipment_id)
    require(may_cancel(shipment), shipment)
    return (ShipmentCancelled(found.order_id, shipment_id, reason),)


def _require_shipping(order: Order) -> None:
    require_order(may_ship(order), order, "the order is on hold" if order.on_hold else None)
