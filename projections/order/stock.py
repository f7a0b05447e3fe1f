"""What an allocation's events change in the order's document: pieces of each line in stock for it.

`allocated` pieces are held for the order and have not left; `backordered` are those of them that
were not there yet when they were reserved, as long as they are held.
"""

from collections.abc import Sequence
from typing import assert_never

from domain.envelope import Recorded
from domain.events import DomainEvent
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
from projections.order.body import Body, tell


def change(body: Body, event: AllocationEvent, recorded: Recorded[DomainEvent]) -> None:
    match event:
        case AllocationReserved():
            _move(body, event.lines, 1)
            if any(line.backordered for line in event.lines):
                text = "Some pieces are not in stock yet: they will take longer"
                tell(body, recorded, "backordered", text)
        case AllocationReleased() | AllocationShipped():
            _move(body, event.lines, -1)
        case AllocationRejected() | AllocationCommitted() | AllocationRestocked():
            pass  # the order's own events say what comes of it; restocked pieces are nobody's
        case _:
            assert_never(event)


def _move(body: Body, lines: Sequence[AllocatedLine], sign: int) -> None:
    """Add pieces to what is held, or take them from it; a line may be named for each location."""
    quantity: dict[int, int] = {}
    late: dict[int, int] = {}
    for line in lines:
        number = line.line_number
        quantity[number] = quantity.get(number, 0) + sign * line.quantity
        late[number] = late.get(number, 0) + (line.backordered if sign > 0 else 0)
    body["lines"] = [
        _moved(line, quantity[number], late[number])
        if (number := line["line_number"]) in quantity
        else line
        for line in body["lines"]
    ]


def _moved(line: Body, quantity: int, late: int) -> Body:
    allocated = line["allocated"] + quantity
    return line | {
        "allocated": allocated,
        "backordered": min(allocated, line["backordered"] + late),
    }
