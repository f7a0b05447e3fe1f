"""Take in what a carrier tells by webhook: of which parcel, and what is new of it.

Rule: one scan that can't be taken in sinks no other. A webhook may come twice, for a scan is known
by its parcel, code and time.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from commands.order.change import Target
from commands.ports import Ports, Request
from commands.shipment.carrier import CarrierScan
from commands.shipment.packing import SHIPMENT, TRACKING, tracking_names_prefix
from commands.shipment.tracking import record_scan
from domain.errors import DomainError
from domain.ids import OrderId, ShipmentId


async def record_carrier_scans(
    scans: Sequence[CarrierScan], request: Request, ports: Ports
) -> Sequence[DomainError]:
    """Record scans in the order in which they came; give why some were not.

    Raises:
        StoreUnavailableError: some may be recorded; the sender tries again.
    """
    refusals: list[DomainError] = []
    for number, told in enumerate(scans):
        try:
            order_id, shipment_id = await _parcel(told, ports)
            one = replace(request, command_id=f"{request.command_id}/{number}")
            await record_scan(Target(order_id), shipment_id, told.scan, one, ports)
        except DomainError as error:
            refusals.append(error)
    return refusals


async def _parcel(told: CarrierScan, ports: Ports) -> tuple[OrderId, ShipmentId]:
    if told.shipment_id is not None:
        holder = await ports.store.holder_of(SHIPMENT, str(told.shipment_id))
        if holder is not None:
            return holder, told.shipment_id
    elif told.carrier is not None and told.tracking_number is not None:
        prefix = tracking_names_prefix(told.carrier, told.tracking_number)
        found = await ports.store.names_under(TRACKING, prefix)
        if found:
            # Numbers come again. Ids of parcels sort by time: the last one is the newest parcel.
            name, order_id = max(found)
            return order_id, ShipmentId(UUID(name.removeprefix(prefix)))
    raise DomainError("unknown_parcel", "no parcel of ours is meant")
