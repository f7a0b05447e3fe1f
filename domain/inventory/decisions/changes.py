"""What one decision adds to several streams: all of it in one append, or nothing.

Rule: stock streams come in the order of skus, the allocation last, so that every append takes
them in the same order.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from domain.ids import OrderId, StreamId, allocation_stream, stock_stream
from domain.inventory.allocation import Part
from domain.inventory.events import (
    AllocatedLine,
    AllocationEvent,
    StockCommitted,
    StockEvent,
    StockReservationExpired,
    StockReservationReleased,
    StockRestocked,
    StockShipped,
)

Changes: TypeAlias = Mapping[StreamId, tuple[StockEvent | AllocationEvent, ...]]
_Moved: TypeAlias = (
    StockCommitted
    | StockReservationReleased
    | StockReservationExpired
    | StockShipped
    | StockRestocked
)
NOTHING: Changes = MappingProxyType({})
"""It was done, or there is nothing to do."""


def together(stock: Iterable[StockEvent], allocation: AllocationEvent) -> Changes:
    """File the events under their streams."""
    streams: dict[StreamId, list[StockEvent | AllocationEvent]] = {}
    for event in sorted(stock, key=lambda event: (event.sku, event.location)):
        streams.setdefault(stock_stream(event.location, event.sku), []).append(event)
    streams[allocation_stream(allocation.order_id)] = [allocation]
    return MappingProxyType({stream: tuple(events) for stream, events in streams.items()})


def take(parts: Iterable[tuple[Part, int]], quantity: int) -> tuple[AllocatedLine, ...]:
    """Take pieces from the first parts that have any, and as many as there are.

    Args:
        parts: each with the pieces that may be taken of it.
        quantity: how many are wanted.
    """
    taken: list[AllocatedLine] = []
    for part, there in parts:
        pieces = min(there, quantity)
        if pieces > 0:
            taken.append(AllocatedLine(part.line_number, part.sku, part.location, pieces))
            quantity -= pieces
    return tuple(taken)


def of_lines(
    kind: type[_Moved], order_id: OrderId, lines: Iterable[AllocatedLine]
) -> list[StockEvent]:
    """Say of each item what becomes of the pieces of these lines."""
    return [
        kind(
            sku=line.sku,
            location=line.location,
            order_id=order_id,
            line_number=line.line_number,
            quantity=line.quantity,
        )
        for line in lines
    ]
