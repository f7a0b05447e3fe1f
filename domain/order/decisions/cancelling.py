"""Cancellation, whole and by line, and forgetting whose order it was.

Rule: an order that is fulfilled here is cancelled in two steps, since its stock and its money
have to go back first; and what is in a parcel that has left is returned, not cancelled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from domain.errors import DomainError
from domain.ids import Sku
from domain.order.decisions.refusals import check_quantity, find_line, require, require_status
from domain.order.events import (
    CancelledLine,
    CancelReason,
    OrderCancellationRequested,
    OrderCancelled,
    OrderEvent,
    OrderLinesCancelled,
    OrderPersonalDataForgotten,
)
from domain.order.guards import is_open, may_cancel
from domain.order.parcels import Parcels
from domain.order.state import Order, OrderStatus

AS_REQUESTED = "as requested"
"""Why, where the request has said it: its words may be sealed, or forgotten by then."""


@dataclass(frozen=True, slots=True)
class LineToCancel:
    """A request to cancel pieces of a sku; `line_number` where the order has the sku twice."""

    sku: Sku
    quantity: int
    line_number: int | None = None


def request_cancellation(
    order: Order, parcels: Parcels, *, reason: str, reason_code: CancelReason
) -> tuple[OrderEvent, ...]:
    """Decide that the whole order is not wanted; at once, where nothing here has to be undone.

    Raises:
        DomainError: `illegal_transition` unless it is pending or confirmed, and nothing of it
            was dispatched.
    """
    if not order.fulfilled_here:
        return cancel(order, reason=reason, reason_code=reason_code)
    require(is_open(order), order)
    require(may_cancel(order, parcels), order, "a parcel was dispatched: ask for a return")
    return (OrderCancellationRequested(order.order_id, reason, reason_code),)


def cancel(order: Order, *, reason: str, reason_code: CancelReason) -> tuple[OrderEvent, ...]:
    """Decide the cancellation of the whole of an order that is not fulfilled here.

    Raises:
        DomainError: `illegal_transition` unless it is pending, and not fulfilled here.
    """
    require_status(order, OrderStatus.PENDING)
    require(not order.fulfilled_here, order, "its stock and its money have to go back first")
    return (OrderCancelled(order.order_id, reason, reason_code),)


def finish_cancellation(order: Order) -> tuple[OrderEvent, ...]:
    """Decide that a requested cancellation is done: stock and money are where they belong.

    Raises:
        DomainError: `illegal_transition` unless its cancellation is pending.
    """
    require_status(order, OrderStatus.CANCEL_PENDING)
    if order.cancellation is None:
        raise AssertionError("a pending cancellation has a reason")
    return (OrderCancelled(order.order_id, AS_REQUESTED, order.cancellation),)


def cancel_lines(
    order: Order,
    parcels: Parcels,
    *,
    lines: Sequence[LineToCancel],
    reason: str,
    reason_code: CancelReason,
) -> tuple[OrderEvent, ...]:
    """Decide the cancellation of some pieces; with the last piece the order is cancelled too.

    Raises:
        DomainError: `illegal_transition` unless it is pending or confirmed; `no_lines`,
            `quantity_out_of_range`, `unknown_line`, `ambiguous_sku`; `quantity_above_remaining`
            also for pieces that are in a parcel.
    """
    require(is_open(order), order)
    if not lines:
        raise DomainError("no_lines", "name at least one line to cancel", field="/lines")
    wanted: dict[int, int] = {}
    for index, request in enumerate(lines):
        check_quantity(request.quantity, f"/lines/{index}/quantity")
        line = find_line(order, request.sku, request.line_number, f"/lines/{index}")
        wanted[line.line_number] = wanted.get(line.line_number, 0) + request.quantity
        left = order.remaining(line) - parcels.holds(line)
        if wanted[line.line_number] > left:
            raise DomainError(
                "quantity_above_remaining",
                f"line {line.line_number} has {left} pieces left to cancel",
                field=f"/lines/{index}/quantity",
                extra={"remaining": left},
            )
    return tuple(_lines_cancelled(order, wanted, reason, reason_code))


def forget_personal_data(order: Order) -> tuple[OrderEvent, ...]:
    """Decide that the order's personal data is forgotten, whatever its status; only once."""
    if order.forgotten:
        return ()
    return (OrderPersonalDataForgotten(order_id=order.order_id),)


def _lines_cancelled(
    order: Order, wanted: dict[int, int], reason: str, reason_code: CancelReason
) -> Iterator[OrderEvent]:
    by_number = {line.line_number: line for line in order.lines}
    yield OrderLinesCancelled(
        order_id=order.order_id,
        lines=tuple(
            CancelledLine(line_number=number, sku=by_number[number].sku, quantity=quantity)
            for number, quantity in sorted(wanted.items())
        ),
        reason=reason,
        reason_code=reason_code,
    )
    if all(order.remaining(line) == wanted.get(line.line_number, 0) for line in order.lines):
        # No piece was in a live parcel, so none is on its way.
        last = OrderCancellationRequested if order.fulfilled_here else OrderCancelled
        yield last(order_id=order.order_id, reason=reason, reason_code=reason_code)
