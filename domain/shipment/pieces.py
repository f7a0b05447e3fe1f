"""Pieces that somebody asks for, by line of an order: to ship them, to send them back.

Rule: what is asked for twice in one request counts twice, so that a limit can't be passed by
naming a line again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from domain.errors import DomainError
from domain.ids import Sku
from domain.order.decisions.refusals import check_quantity, find_line
from domain.order.events import OrderLine
from domain.order.state import Order


@dataclass(frozen=True, slots=True)
class LineRequest:
    """So many pieces of a sku; `line_number` where the order has the sku twice."""

    sku: Sku
    quantity: int
    line_number: int | None = None


def add_up(
    order: Order,
    requests: Sequence[LineRequest],
    *,
    left: Callable[[OrderLine], int],
    purpose: str,
) -> tuple[tuple[OrderLine, int], ...]:
    """Give the lines that are asked for, by number, each with its pieces.

    Args:
        order: whose lines they are.
        requests: what is asked for.
        left: how many pieces of a line may be had.
        purpose: what for, such as `to ship`.

    Raises:
        DomainError: `no_lines`, `quantity_out_of_range`, `unknown_line`, `ambiguous_sku`,
            `quantity_above_remaining`.
    """
    if not requests:
        raise DomainError("no_lines", f"name at least one line {purpose}", field="/lines")
    lines: dict[int, OrderLine] = {}
    pieces: dict[int, int] = {}
    for index, request in enumerate(requests):
        check_quantity(request.quantity, f"/lines/{index}/quantity")
        line = find_line(order, request.sku, request.line_number, f"/lines/{index}")
        number = line.line_number
        lines[number] = line
        pieces[number] = pieces.get(number, 0) + request.quantity
        if pieces[number] > left(line):
            raise DomainError(
                "quantity_above_remaining",
                f"line {number} has {left(line)} pieces left {purpose}",
                field=f"/lines/{index}/quantity",
                extra={"remaining": left(line)},
            )
    return tuple((lines[number], pieces[number]) for number in sorted(pieces))


def count(lines: Sequence[tuple[int, int]]) -> Mapping[int, int]:
    """Add up (line number, pieces) by line number."""
    pieces: dict[int, int] = {}
    for number, quantity in lines:
        pieces[number] = pieces.get(number, 0) + quantity
    return pieces
