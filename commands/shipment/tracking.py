"""Take in what a carrier tells of a parcel: late, twice and out of order."""

from commands.order.change import Decision, Target, change_order
from commands.order.file import OrderFile
from commands.ports import Answer, Ports, Request
from domain.ids import ShipmentId
from domain.order.state import Order
from domain.shipment import decisions
from domain.shipment.decisions import Scan


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
