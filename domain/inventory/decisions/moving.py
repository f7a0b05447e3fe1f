"""What leaves the shelves with an order's parcels, and what its returns bring back to them.

Rule: each parcel takes its pieces once, and each receipt brings its own once. Only pieces that
are there can leave, and only pieces that have left can come back.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from domain.errors import DomainError
from domain.ids import ShipmentId, Sku
from domain.inventory.allocation import Allocation, AllocationStatus
from domain.inventory.decisions.changes import NOTHING, Changes, of_lines, take, together
from domain.inventory.events import (
    AllocatedLine,
    AllocationRestocked,
    AllocationShipped,
    StockRestocked,
    StockShipped,
)
from domain.inventory.location import Location
from domain.inventory.state import StockItem
from domain.returns.events import ReceivedLine
from domain.shipment.events import ShippedLine


def ship(
    items: Sequence[StockItem],
    allocation: Allocation,
    *,
    shipment_id: ShipmentId,
    lines: Sequence[ShippedLine],
) -> Changes:
    """Decide from where the pieces of a parcel leave.

    Pieces beyond those held have been shipped before, and came back to the sender: they leave
    no shelf a second time.

    Args:
        items: those that hold something for the order.
        allocation: the order's.
        shipment_id: the parcel.
        lines: what is in it.

    Raises:
        DomainError: `illegal_transition` unless committed; `quantity_above_allocated`;
            `stock_not_received` where backordered pieces have not come yet.
    """
    if shipment_id in allocation.shipments:
        return NOTHING
    if allocation.status is not AllocationStatus.COMMITTED:
        raise DomainError(
            "illegal_transition",
            f"the order's stock is {allocation.status}",
            extra={"allocation_status": str(allocation.status)},
        )
    leaving = require_there(items, allocation, lines=lines)
    return together(
        of_lines(StockShipped, allocation.order_id, leaving),
        AllocationShipped(
            order_id=allocation.order_id, shipment_id=shipment_id, lines=tuple(leaving)
        ),
    )


def require_there(
    items: Sequence[StockItem], allocation: Allocation, *, lines: Sequence[ShippedLine]
) -> Sequence[AllocatedLine]:
    """Give from where pieces of an order would leave, if all of them left now.

    Args:
        items: those that hold something for the order.
        allocation: the order's.
        lines: the pieces of all of its parcels that have left no shelf yet.

    Raises:
        DomainError: `quantity_above_allocated`; `stock_not_received` where backordered pieces have
            not come yet.
    """
    shelves = {(item.sku, item.location): item for item in items}
    pieces = sorted(_add_up([(line.line_number, line.quantity) for line in lines]))
    return [
        place
        for number, quantity in pieces
        for place in _leave(allocation, shelves, number, quantity)
    ]


def restock(allocation: Allocation, *, subject: str, lines: Sequence[ReceivedLine]) -> Changes:
    """Decide that pieces of a return are for sale again, where they had left from.

    Args:
        allocation: the order's.
        subject: which receipt of which return.
        lines: what came; their `restock` counts.

    Raises:
        DomainError: `quantity_above_shipped`.
    """
    if subject in allocation.restocks:
        return NOTHING
    back: list[AllocatedLine] = []
    for number, quantity in sorted(_add_up([(line.line_number, line.restock) for line in lines])):
        away = [(part, part.shipped - part.restocked) for part in allocation.of_line(number)]
        if quantity > sum(pieces for _, pieces in away):
            raise DomainError(
                "quantity_above_shipped", f"not so many pieces of line {number} have left"
            )
        back += take(away, quantity)
    return together(
        of_lines(StockRestocked, allocation.order_id, back),
        AllocationRestocked(order_id=allocation.order_id, subject=subject, lines=tuple(back)),
    )


def _leave(
    allocation: Allocation,
    shelves: Mapping[tuple[Sku, Location], StockItem],
    line_number: int,
    quantity: int,
) -> Sequence[AllocatedLine]:
    parts = allocation.of_line(line_number)
    held, shipped = sum(part.held for part in parts), sum(part.shipped for part in parts)
    if quantity > held + shipped:
        raise DomainError(
            "quantity_above_allocated",
            f"line {line_number} has {held} pieces of stock",
            extra={"line_number": line_number, "allocated": held},
        )
    ready = [
        (part, shelves[part.sku, part.location].ready(allocation.order_id, line_number))
        for part in parts
        if part.held
    ]
    there = sum(pieces for _, pieces in ready)
    if there < min(quantity, held):
        raise DomainError(
            "stock_not_received",
            f"{there} of {held} pieces of line {line_number} are there",
            extra={"line_number": line_number, "ready": there},
        )
    return take(ready, min(quantity, held))


def _add_up(pieces: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    sums: Counter[int] = Counter()
    for line_number, quantity in pieces:
        sums[line_number] += quantity
    return list(sums.items())
