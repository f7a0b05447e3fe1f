"""What an order gets, and where: all of its lines, or nothing.

Rule: no piece is promised twice. Lines of the same sku are added up before anything is promised,
and an order is decided on once: asked again, also after a release, the answer is no events.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.ids import OrderId, Sku
from domain.inventory.allocation import Allocation
from domain.inventory.decisions.changes import NOTHING, Changes, together
from domain.inventory.events import (
    AllocatedLine,
    AllocationRejected,
    AllocationReleased,
    AllocationReserved,
    ShortLine,
    StockReserved,
)
from domain.inventory.location import Location
from domain.inventory.state import StockItem


@dataclass(frozen=True, slots=True)
class WantedLine:
    """Pieces of an order's line that are still wanted. Line numbers are unique in an order."""

    line_number: int
    sku: Sku
    quantity: int


def reserve(
    items: Sequence[StockItem],
    allocation: Allocation | None,
    *,
    order_id: OrderId,
    lines: Sequence[WantedLine],
    expires_at: datetime,
) -> Changes:
    """Decide what is held for an order.

    One location that has everything is preferred, for that is one parcel; then those with the
    most pieces. What is nowhere is backordered where that is allowed. A line of which nothing is
    wanted any more is passed over; where no line is left, the allocation is released at once.

    Args:
        items: every item, at any location, of the skus that are wanted.
        allocation: the order's; None: it has none yet.
        order_id: the order.
        lines: what it wants.
        expires_at: when somebody should ask whether it is still wanted.
    """
    if allocation is not None:
        return NOTHING
    wanted = sorted(
        (line for line in lines if line.quantity > 0), key=lambda line: line.line_number
    )
    if not wanted:
        return together((), AllocationReleased(order_id=order_id, lines=()))
    if len({line.line_number for line in wanted}) < len(wanted):
        raise AssertionError("line numbers are unique in an order")
    allocated, short = _share_out(_by_preference(items, wanted), wanted)
    if short:
        return together((), AllocationRejected(order_id=order_id, short=tuple(short)))
    return together(
        [
            StockReserved(
                sku=line.sku,
                location=line.location,
                order_id=order_id,
                line_number=line.line_number,
                quantity=line.quantity,
                backordered=line.backordered,
                expires_at=expires_at,
            )
            for line in allocated
        ],
        AllocationReserved(order_id=order_id, lines=tuple(allocated), expires_at=expires_at),
    )


def _share_out(
    items: Sequence[StockItem], wanted: Sequence[WantedLine]
) -> tuple[list[AllocatedLine], list[ShortLine]]:
    """Give the lines with their locations, and those that fell short."""
    free = {(item.sku, item.location): max(0, item.available) for item in items}
    by_sku: dict[Sku, list[StockItem]] = {}
    for item in items:
        by_sku.setdefault(item.sku, []).append(item)
    allocated: list[AllocatedLine] = []
    short: list[ShortLine] = []
    for line in wanted:
        candidates = by_sku.get(line.sku, [])
        there = _take(line, candidates, free)
        missing = line.quantity - sum(there.values())
        late = next((item.location for item in candidates if item.allow_backorder), None)
        if missing and late is None:
            available = line.quantity - missing
            short.append(ShortLine(line.line_number, line.sku, line.quantity, available))
        for item in candidates:
            backordered = missing if item.location == late else 0
            if pieces := there[item.location] + backordered:
                allocated.append(
                    AllocatedLine(line.line_number, line.sku, item.location, pieces, backordered)
                )
    return allocated, short


def _take(
    line: WantedLine, candidates: Sequence[StockItem], free: dict[tuple[Sku, Location], int]
) -> Mapping[Location, int]:
    """Take what there is for a line out of `free`, and give it by location."""
    missing = line.quantity
    taken: dict[Location, int] = {}
    for item in candidates:
        pieces = min(missing, free[item.sku, item.location])
        free[item.sku, item.location] -= pieces
        taken[item.location] = pieces
        missing -= pieces
    return taken


def _by_preference(items: Sequence[StockItem], wanted: Sequence[WantedLine]) -> list[StockItem]:
    whole = _location_with_all(items, wanted)
    return sorted(items, key=lambda item: (item.location != whole, -item.available, item.location))


def _location_with_all(items: Sequence[StockItem], wanted: Sequence[WantedLine]) -> Location | None:
    """Find where every sku lies in full: where the most pieces lie, if there are several."""
    pieces: Counter[Sku] = Counter()
    for line in wanted:
        pieces[line.sku] += line.quantity
    skus: Counter[Location] = Counter()
    stock: Counter[Location] = Counter()
    for item in items:
        if item.sku in pieces and item.available >= pieces[item.sku]:
            skus[item.location] += 1
            stock[item.location] += item.available
    full = [location for location, count in skus.items() if count == len(pieces)]
    return min(full, key=lambda location: (-stock[location], location), default=None)
