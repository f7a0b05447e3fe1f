"""Pack a parcel, hand it to a carrier, or unpack it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from commands.order.change import Decision, Target, change_order
from commands.order.file import OrderFile
from commands.ports import Answer, Ports, Request
from domain.ids import ShipmentId
from domain.order.state import Order
from domain.shipment import decisions
from domain.shipment.pieces import LineRequest

TRACKING = "tracking"
"""The scope of names under which a carrier's number finds its parcels."""
SHIPMENT = "shipment"
"""The scope of names under which the order of a parcel is found."""


async def create_shipment(
    target: Target, lines: Sequence[LineRequest], request: Request, ports: Ports
) -> Answer:
    """Set pieces aside for a parcel. Raises as `change_order`, and `decisions.create`."""
    shipment_id = ShipmentId(ports.names.new_event_id())

    def decide(order: Order, file: OrderFile) -> Decision:
        events = decisions.create(order, file.shipments.state, shipment_id=shipment_id, lines=lines)
        return Decision(
            file.shipments,
            events,
            read=[file.order],
            body={"shipment_id": str(shipment_id)},
            unique={SHIPMENT: str(shipment_id)},
        )

    return await change_order(target, decide, request, ports)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What is known of a parcel when a carrier takes it."""

    carrier: str
    tracking_number: str | None = None
    estimated_delivery: datetime | None = None


async def dispatch_shipment(
    target: Target, shipment_id: ShipmentId, dispatch: Dispatch, request: Request, ports: Ports
) -> Answer:
    """Hand it over. Raises as `change_order`, and `decisions.dispatch`."""

    def decide(order: Order, file: OrderFile) -> Decision:
        events = decisions.dispatch(
            order,
            file.shipments.state,
            shipment_id=shipment_id,
            carrier=dispatch.carrier,
            tracking_number=dispatch.tracking_number,
            estimated_delivery=dispatch.estimated_delivery,
        )
        return Decision(
            file.shipments,
            events,
            read=[file.order],
            body={"shipment_id": str(shipment_id)},
            unique=_tracking_name(dispatch, shipment_id, ports),
        )

    return await change_order(target, decide, request, ports)


def tracking_names_prefix(carrier: str, tracking_number: str) -> str:
    """What the names of all parcels begin with that a carrier has ever given this number.

    An id that sorts by time follows, drawn when the parcel was dispatched, and then the parcel's.
    """
    return f"{carrier.lower()}/{tracking_number}/"


def _tracking_name(dispatch: Dispatch, shipment_id: ShipmentId, ports: Ports) -> Mapping[str, str]:
    if dispatch.tracking_number is None:
        return {}
    prefix = tracking_names_prefix(dispatch.carrier, dispatch.tracking_number)
    return {TRACKING: f"{prefix}{ports.names.new_event_id()}/{shipment_id}"}


async def cancel_shipment(
    target: Target, shipment_id: ShipmentId, reason: str, request: Request, ports: Ports
) -> Answer:
    """Unpack it. Raises as `change_order`, and `decisions.cancel`."""

    def decide(_order: Order, file: OrderFile) -> Decision:
        events = decisions.cancel(file.shipments.state, shipment_id=shipment_id, reason=reason)
        return Decision(file.shipments, events, body={"shipment_id": str(shipment_id)})

    return await change_order(target, decide, request, ports)
