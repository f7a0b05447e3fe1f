"""What becomes of an order's pieces before they leave: theirs for good, or for sale again.

Rule: whatever is held ends once. Where expiry, release and commit race, the first that is stored
wins, and the others find nothing to do. They need no stock item: what is held may always be let
go, and the version of the allocation vouches for it.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

from domain.ids import OrderId
from domain.inventory.allocation import Allocation, AllocationStatus
from domain.inventory.decisions.changes import NOTHING, Changes, of_lines, take, together
from domain.inventory.events import (
    AllocatedLine,
    AllocationCommitted,
    AllocationReleased,
    StockCommitted,
    StockReservationExpired,
    StockReservationReleased,
)


def commit(allocation: Allocation) -> Changes:
    """Decide that what is reserved is the order's for good; nothing unless it is reserved."""
    if allocation.status is not AllocationStatus.RESERVED:
        return NOTHING
    return together(
        of_lines(StockCommitted, allocation.order_id, _all_held(allocation)),
        AllocationCommitted(order_id=allocation.order_id),
    )


def expire(allocation: Allocation) -> Changes:
    """Decide that the time of a reservation has run out; nothing once it is committed."""
    if allocation.status is not AllocationStatus.RESERVED:
        return NOTHING
    held = _all_held(allocation)
    return together(
        of_lines(StockReservationExpired, allocation.order_id, held),
        AllocationReleased(order_id=allocation.order_id, lines=held, expired=True),
    )


def release(allocation: Allocation | None, *, order_id: OrderId) -> Changes:
    """Decide that all that is still held for an order, reserved or committed, is for sale again.

    An order that has no allocation yet gets a released one: a request to reserve that comes late
    finds that it was decided.
    """
    if allocation is None:
        return together((), AllocationReleased(order_id=order_id, lines=()))
    return _release(allocation, _all_held(allocation))


def release_unwanted(allocation: Allocation, *, wanted: Mapping[int, int]) -> Changes:
    """Decide that pieces of cancelled lines are for sale again.

    Of a line that is split over locations, those are let go first that were found last.

    Args:
        allocation: the order's.
        wanted: pieces that may yet leave the shelves for the order, by line number.
    """
    unwanted: list[AllocatedLine] = []
    for number, group in groupby(allocation.parts, key=lambda part: part.line_number):
        parts = tuple(group)
        surplus = sum(part.held for part in parts) - wanted.get(number, 0)
        unwanted += take([(part, part.held) for part in reversed(parts)], surplus)
    return _release(allocation, tuple(unwanted))


def _release(allocation: Allocation, lines: Sequence[AllocatedLine]) -> Changes:
    if not lines:
        return NOTHING
    return together(
        of_lines(StockReservationReleased, allocation.order_id, lines),
        AllocationReleased(order_id=allocation.order_id, lines=tuple(lines)),
    )


def _all_held(allocation: Allocation) -> tuple[AllocatedLine, ...]:
    return tuple(
        AllocatedLine(part.line_number, part.sku, part.location, part.held)
        for part in allocation.parts
        if part.held
    )
