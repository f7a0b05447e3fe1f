"""What decisions need to know of an order's stock, folded from its allocation. No rules here.

Every change of it is in one append with the same change of the stock items. So it always says
what they hold for the order, and whoever asserts its version needn't read theirs.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from domain.aggregate import Aggregate
from domain.ids import OrderId, ShipmentId, Sku
from domain.inventory.events import (
    AllocatedLine,
    AllocationCommitted,
    AllocationEvent,
    AllocationRejected,
    AllocationReleased,
    AllocationReserved,
    AllocationRestocked,
    AllocationShipped,
)
from domain.inventory.location import Location


class AllocationStatus(StrEnum):
    RESERVED = "reserved"
    COMMITTED = "committed"
    """What is held, is for good; what has left, had been."""
    REJECTED = "rejected"
    RELEASED = "released"
    """Nothing is held, and nothing has left: it expired, or was called off."""


@dataclass(frozen=True, slots=True)
class Part:
    """A line's pieces at one location.

    Attributes:
        held: reserved or committed there, now.
        shipped: have left from there, whether they came back or not.
        restocked: of those, came back and are for sale again.
    """

    line_number: int
    sku: Sku
    location: Location
    held: int
    shipped: int = 0
    restocked: int = 0


@dataclass(frozen=True, slots=True)
class Allocation:
    """An order's stock. It stays when all has ended: what was decided once isn't decided again.

    Attributes:
        parts: by line number, and in the order in which its locations were chosen.
        shipments: parcels whose pieces have left.
        restocks: receipts of returns whose pieces are back.
        short: numbers of the lines for which it was rejected.
        committed: whether it ever was, whatever became of it since.
    """

    order_id: OrderId
    status: AllocationStatus
    parts: tuple[Part, ...] = ()
    shipments: tuple[ShipmentId, ...] = ()
    restocks: tuple[str, ...] = ()
    short: tuple[int, ...] = ()
    committed: bool = False

    @property
    def holds_any(self) -> bool:
        return any(part.held for part in self.parts)

    def of_line(self, line_number: int) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.line_number == line_number)


def evolve(allocation: Allocation | None, event: AllocationEvent) -> Allocation:
    """Fold one event. Pieces that the order never had can't go, and crash."""
    if isinstance(event, AllocationReserved):
        parts = tuple(
            Part(line.line_number, line.sku, line.location, held=line.quantity)
            for line in event.lines
        )
        return Allocation(event.order_id, AllocationStatus.RESERVED, parts)
    if isinstance(event, AllocationRejected):
        short = tuple(line.line_number for line in event.short)
        return Allocation(event.order_id, AllocationStatus.REJECTED, short=short)
    if isinstance(event, AllocationReleased):
        return _release(allocation, event)
    if allocation is None:
        raise AssertionError(f"{type(event).__name__} before AllocationReserved")
    if isinstance(event, AllocationCommitted):
        return replace(allocation, status=AllocationStatus.COMMITTED, committed=True)
    if isinstance(event, AllocationShipped):
        return replace(
            allocation,
            parts=_move(allocation.parts, event.lines, _ship),
            shipments=(*allocation.shipments, event.shipment_id),
        )
    if isinstance(event, AllocationRestocked):
        return replace(
            allocation,
            parts=_move(allocation.parts, event.lines, _restock),
            restocks=(*allocation.restocks, event.subject),
        )
    assert_never(event)


def _release(allocation: Allocation | None, event: AllocationReleased) -> Allocation:
    if allocation is None:
        return Allocation(event.order_id, AllocationStatus.RELEASED)
    parts = _move(allocation.parts, event.lines, _let_go)
    over = not any(part.held or part.shipped for part in parts)
    status = AllocationStatus.RELEASED if over else allocation.status
    return replace(allocation, parts=parts, status=status)


def _move(
    parts: tuple[Part, ...],
    lines: Iterable[AllocatedLine],
    change: Callable[[Part, int], Part],
) -> tuple[Part, ...]:
    pieces = {(line.line_number, line.location): line.quantity for line in lines}
    moved = tuple(change(part, pieces.pop((part.line_number, part.location), 0)) for part in parts)
    if pieces or any(part.held < 0 or part.restocked > part.shipped for part in moved):
        raise AssertionError("pieces that the order never had")
    return moved


def _let_go(part: Part, quantity: int) -> Part:
    return replace(part, held=part.held - quantity)


def _ship(part: Part, quantity: int) -> Part:
    return replace(part, held=part.held - quantity, shipped=part.shipped + quantity)


def _restock(part: Part, quantity: int) -> Part:
    return replace(part, restocked=part.restocked + quantity)


ALLOCATION: Aggregate[Allocation, AllocationEvent] = Aggregate("allocation.v1", Allocation, evolve)
