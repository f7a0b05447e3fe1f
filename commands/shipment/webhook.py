"""Take in what a carrier tells by webhook: of which parcels, and what is new of them.

Rule: a scan that is refused sinks no other; one that can't be stored just now fails the webhook, so
that its sender tells it again. Repetition is harmless: a scan is known by parcel, code and time.
"""

from collections.abc import Sequence
from typing import TypeAlias
from uuid import UUID

from commands.order.change import Target
from commands.ports import Ports, Request
from commands.shipment.carrier import CarrierScan
from commands.shipment.packing import SHIPMENT, TRACKING, tracking_names_prefix
from commands.shipment.tracking import record_scans
from domain.errors import DomainError
from domain.ids import OrderId, ShipmentId
from domain.shipment.decisions import Scan

_Parcel: TypeAlias = tuple[OrderId, ShipmentId]


async def record_carrier_scans(
    scans: Sequence[CarrierScan], request: Request, ports: Ports
) -> Sequence[DomainError]:
    """Record scans, those of one order together; give why some were not.

    Raises:
        DomainError: `too_much_contention`; some may be recorded.
        StoreUnavailableError: some may be recorded.
    """
    refusals: list[DomainError] = []
    by_order: dict[OrderId, list[tuple[ShipmentId, Scan]]] = {}
    parcels = {
        told.parcel: await _find(told, ports) for told in {s.parcel: s for s in scans}.values()
    }
    for told in scans:
        parcel = parcels[told.parcel]
        if parcel is None:
            refusals.append(DomainError("unknown_parcel", "no parcel of ours is meant"))
        else:
            order_id, shipment_id = parcel
            by_order.setdefault(order_id, []).append((shipment_id, told.scan))
    for order_id, found in by_order.items():
        refusals += await record_scans(Target(order_id), found, request, ports)
    return refusals


async def _find(told: CarrierScan, ports: Ports) -> _Parcel | None:
    if told.shipment_id is not None:
        holder = await ports.store.holder_of(SHIPMENT, str(told.shipment_id))
        return None if holder is None else (holder, told.shipment_id)
    if told.carrier is None or told.tracking_number is None:
        return None
    prefix = tracking_names_prefix(told.carrier, told.tracking_number)
    found = await ports.store.names_under(TRACKING, prefix)
    if not found:
        return None
    # Numbers come again; the names sort by when the parcels were dispatched.
    name, order_id = max(found)
    return order_id, ShipmentId(UUID(name.rpartition("/")[2]))
