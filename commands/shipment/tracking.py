"""Take in what a carrier tells of parcels: late, twice and out of order."""

from collections.abc import Sequence
from datetime import datetime
from functools import reduce

from commands.order.change import Decision, Target, change_order
from commands.order.file import OrderFile
from commands.ports import Answer, Ports, Request
from domain.errors import DomainError
from domain.ids import ShipmentId
from domain.order.state import Order
from domain.shipment import decisions
from domain.shipment.decisions import Scan
from domain.shipment.events import ShipmentEvent
from domain.shipment.state import evolve


async def record_scan(
    target: Target, shipment_id: ShipmentId, scan: Scan, request: Request, ports: Ports
) -> Answer:
    """Note a scan; one that is known already changes nothing.

    Raises as `change_order`, and the rules of `decisions.record_scan`.
    """

    def decide(_order: Order, file: OrderFile) -> Decision:
        events = decisions.record_scan(
            file.shipments.state, shipment_id=shipment_id, scan=scan, now=ports.clock.now()
        )
        return Decision(
            file.shipments,
            events,
            body={"shipment_id": str(shipment_id)},
            occurred_at=scan.scanned_at,
        )

    return await change_order(target, decide, request, ports)


async def record_scans(
    target: Target, scans: Sequence[tuple[ShipmentId, Scan]], request: Request, ports: Ports
) -> Sequence[DomainError]:
    """Note scans of one order's parcels, all in one append; give why some can't be noted.

    Raises as `change_order`: none is noted then, and telling them again may help.
    """
    refusals: list[DomainError] = []

    def decide(_order: Order, file: OrderFile) -> Decision:
        refusals.clear()  # of the attempt before
        events: list[ShipmentEvent] = []
        times: list[datetime] = []
        shipments, now = file.shipments.state, ports.clock.now()
        for shipment_id, scan in scans:
            try:
                new = decisions.record_scan(shipments, shipment_id=shipment_id, scan=scan, now=now)
            except DomainError as error:
                refusals.append(error)
                continue
            shipments = reduce(evolve, new, shipments)
            events += new
            times += [scan.scanned_at] * len(new)
        return Decision(file.shipments, events, occurred_at=times)

    await change_order(target, decide, request, ports)
    return refusals
