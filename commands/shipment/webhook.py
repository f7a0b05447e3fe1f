"""Take in what a carrier tells by webhook: of which parcels, and what is new of them.

Rule: a scan that is refused sinks no other; one that can't be stored just now fails the webhook, so
that its sender tells it again. Repetition is harmless: a scan is known by parcel, code and time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from commands.order.change import Target
from commands.ports import Ports, Request, StreamUnreadableError
from commands.shipment.carrier import CarrierScan
from commands.shipment.packing import SHIPMENT, TRACKING, tracking_names_prefix
from commands.shipment.tracking import record_scans
from domain.errors import DomainError
from domain.ids import OrderId, ShipmentId, shipments_stream
from domain.shipment.decisions import Scan
from domain.shipment.decisions.tracking import AHEAD
from domain.shipment.state import SHIPMENTS, Shipment, Shipments

MOST_PARCELS = 10
"""The last ones of a number; carriers give it again after months."""


@dataclass(frozen=True, slots=True)
class _Parcel:
    """One that may be meant.

    Attributes: dispatched_at, shipment: when, and as it is; None where it is the only one.
    """

    order_id: OrderId
    shipment_id: ShipmentId
    dispatched_at: datetime | None = None
    shipment: Shipment | None = None


async def record_carrier_scans(
    scans: Sequence[CarrierScan], request: Request, ports: Ports
) -> Sequence[DomainError]:
    """Record scans, those of one order together; give why some were not.

    Raises:
        DomainError: `too_much_contention`; some may be recorded.
        StoreUnavailableError: some may be recorded.
        StreamUnreadableError: of one order or more; all others are recorded.
    """
    refusals: list[DomainError] = []
    unreadable: StreamUnreadableError | None = None
    by_order: dict[OrderId, list[tuple[ShipmentId, Scan]]] = {}
    parcels: dict[object, Sequence[_Parcel]] = {}
    for told in {scan.parcel: scan for scan in scans}.values():
        try:
            parcels[told.parcel] = await _find(told, ports)
        except StreamUnreadableError as error:
            unreadable = error
    for told in scans:
        if told.parcel not in parcels:
            continue
        parcel = _meant(parcels[told.parcel], told.scan)
        if parcel is None:
            refusals.append(DomainError("unknown_parcel", "no parcel of ours is meant"))
        else:
            by_order.setdefault(parcel.order_id, []).append((parcel.shipment_id, told.scan))
    for order_id, found in by_order.items():
        try:
            refusals += await record_scans(Target(order_id), found, request, ports)
        except StreamUnreadableError as error:
            unreadable = error
    if unreadable is not None:
        raise unreadable  # so that they are told again
    return refusals


def _meant(parcels: Sequence[_Parcel], scan: Scan) -> _Parcel | None:
    """Find the parcel of a number that has come again: who knows the scan, or the last before it.

    So an old webhook that is told again says nothing of a parcel that has its number since.
    """
    for one in parcels:
        if one.shipment is not None and one.shipment.knows(scan.code, scan.scanned_at):
            return one
    # By subtraction: a scan may say the last day of all, and there is no time after it.
    gone = [
        one
        for one in parcels
        if one.dispatched_at is None or one.dispatched_at - scan.scanned_at <= AHEAD
    ]
    return next(reversed(gone or parcels), None)


async def _find(told: CarrierScan, ports: Ports) -> Sequence[_Parcel]:
    """Find the parcels that may be meant, in the order in which they were dispatched."""
    if told.shipment_id is not None:
        holder = await ports.store.holder_of(SHIPMENT, str(told.shipment_id))
        return [] if holder is None else [_Parcel(holder, told.shipment_id)]
    if told.carrier is None or told.tracking_number is None:
        return []
    prefix = tracking_names_prefix(told.carrier, told.tracking_number)
    found = sorted(await ports.store.names_under(TRACKING, prefix))[-MOST_PARCELS:]
    streams = [(shipments_stream(order_id), SHIPMENTS) for _, order_id in found]
    loaded = await ports.store.load_all(streams) if len(found) > 1 else [None] * len(found)
    return [
        _parcel(name, order_id, None if one is None else one.state)
        for (name, order_id), one in zip(found, loaded, strict=True)
    ]


def _parcel(name: str, order_id: OrderId, shipments: Shipments | None) -> _Parcel:
    *_, dispatched, parcel = name.split("/")
    shipment_id = ShipmentId(UUID(parcel))
    # The first 48 bits of a UUID of version 7 are milliseconds (RFC 9562, 5.7).
    at = datetime.fromtimestamp((UUID(dispatched).int >> 80) / 1_000, UTC)
    of_order = () if shipments is None else shipments.shipments
    shipment = next((one for one in of_order if one.shipment_id == shipment_id), None)
    return _Parcel(order_id, shipment_id, at, shipment)
