"""Pack a parcel, hand it to a carrier, or unpack it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from commands.order.change import Decision, Target, change_order
from commands.order.file import OrderFile
from commands.ports import Answer, Ports, Request, Stream, VersionConflictError
from domain.ids import ShipmentId, stock_stream
from domain.inventory.allocation import ALLOCATION
from domain.inventory.decisions import require_there
from domain.inventory.state import STOCK_ITEM, StockItem
from domain.order.state import Order
from domain.shipment import decisions
from domain.shipment.pieces import LineRequest
from domain.shipment.state import ShipmentStatus

TRACKING = "tracking"
"""The scope of names under which a carrier's number finds its parcels."""
SHIPMENT = "shipment"
"""The scope of names under which the order of a parcel is found."""
_GONE = (ShipmentStatus.DISPATCHED, ShipmentStatus.DELIVERED)


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
    """Hand it over: only pieces that are there, of those that inventory holds for the order.

    Raises as `change_order`, `decisions.dispatch`, and `require_there` of inventory.
    """

    async def decide(order: Order, file: OrderFile) -> Decision:
        events = decisions.dispatch(
            order,
            file.shipments.state,
            shipment_id=shipment_id,
            carrier=dispatch.carrier,
            tracking_number=dispatch.tracking_number,
            estimated_delivery=dispatch.estimated_delivery,
        )
        shelves = await _check_shelves(file, shipment_id, ports)
        return Decision(
            file.shipments,
            events,
            read=[file.order, file.allocation, *shelves],
            body={"shipment_id": str(shipment_id)},
            unique=_tracking_name(dispatch, shipment_id, ports),
        )

    return await change_order(target, decide, request, ports)


async def _check_shelves(
    file: OrderFile, shipment_id: ShipmentId, ports: Ports
) -> Sequence[Stream[StockItem]]:
    """Check that the parcel's pieces are there; give the stock items that this hangs on.

    Those are the ones of which more is promised than is there. Of others the pieces are there
    whatever else is sold, and a hot item's next sale needn't hold up a parcel.
    """
    allocation = file.allocation.state
    if allocation is None:
        return []  # its stock is none of ours
    # Together with the allocation: what left since it was loaded is gone from the items, and would
    # be taken for not there.
    streams = sorted({stock_stream(part.location, part.sku) for part in allocation.parts})
    now, *items = await ports.store.load_all(
        [(file.allocation.stream, ALLOCATION), *((one, STOCK_ITEM) for one in streams)]
    )
    if now.version != file.allocation.version:
        raise VersionConflictError(now.stream)
    leaving = [
        line
        for one in (() if file.shipments.state is None else file.shipments.state.shipments)
        if one.shipment_id == shipment_id
        or (one.status in _GONE and one.shipment_id not in allocation.shipments)
        for line in one.lines
    ]
    known = [(item, item.state) for item in items if item.state is not None]
    require_there([state for _, state in known], allocation, lines=leaving)
    return [item for item, state in known if state.available < 0]


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
