"""The rules of returns: one verb per decision, (states, facts) -> events, or a DomainError.

Rules: a piece comes back once, and only after it was delivered; what comes is at most what was
asked for, in as many receipts as it takes; and owed for each receipt is what its pieces are worth
or, where less of what was taken is left, that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.errors import DomainError
from domain.ids import ReturnId
from domain.order.decisions.refusals import check_amount, find_line
from domain.order.decisions.refusals import require as require_order
from domain.order.state import Order
from domain.returns.events import (
    ReceivedLine,
    ReturnApproved,
    ReturnCancelled,
    ReturnedLine,
    ReturnEvent,
    ReturnReason,
    ReturnReceived,
    ReturnRequested,
)
from domain.returns.guards import may_approve, may_cancel, may_receive, may_request
from domain.returns.state import Return, Returns
from domain.returns.status import return_requested_pieces
from domain.shipment.pieces import LineRequest, add_up
from domain.shipment.state import Shipments
from domain.shipment.status import delivered_pieces

MOST_RETURNS = 1_000
"""Returns of an order, cancelled ones included."""


@dataclass(frozen=True, slots=True)
class LineToReceive(LineRequest):
    """So many pieces have come. Attributes: restock: how many of them can be sold again."""

    restock: int = 0


def request(
    order: Order,
    shipments: Shipments | None,
    returns: Returns | None,
    *,
    return_id: ReturnId,
    lines: Sequence[LineRequest],
    reason_code: ReturnReason,
    reason: str,
) -> tuple[ReturnEvent, ...]:
    """Decide that somebody wants to send pieces back, whatever the order's status.

    Raises:
        DomainError: `illegal_transition` where nothing was delivered that isn't in a return;
            `too_many_returns`, `no_lines`, `quantity_out_of_range`, `unknown_line`,
            `ambiguous_sku`; `quantity_above_remaining` for more than that.
    """
    require_order(may_request(shipments, returns), order, "nothing is left to send back")
    if returns is not None and len(returns.returns) >= MOST_RETURNS:
        raise DomainError("too_many_returns", f"an order has at most {MOST_RETURNS} returns")
    delivered, asked_back = delivered_pieces(shipments), return_requested_pieces(returns)
    wanted = add_up(
        order,
        lines,
        left=lambda line: delivered.get(line.line_number, 0) - asked_back.get(line.line_number, 0),
        purpose="to send back",
    )
    back = tuple(ReturnedLine(line.line_number, line.sku, pieces) for line, pieces in wanted)
    return (ReturnRequested(order.order_id, return_id, back, reason_code, reason),)


def approve(returns: Returns | None, *, return_id: ReturnId) -> tuple[ReturnEvent, ...]:
    """Decide that the shop takes it back.

    Raises:
        DomainError: `unknown_return`; `illegal_transition` unless it is only requested.
    """
    found, one = _find(returns, return_id)
    _require(may_approve(one), one)
    return (ReturnApproved(found.order_id, return_id),)


def received_lines(
    order: Order, returns: Returns | None, *, return_id: ReturnId, lines: Sequence[LineToReceive]
) -> tuple[ReceivedLine, ...]:
    """Check what has come and give it by line, so that its refund can be computed.

    Raises:
        DomainError: `unknown_return`; `illegal_transition` unless it is approved and something
            of it is to come; `no_lines`, `quantity_out_of_range`, `unknown_line`,
            `ambiguous_sku`; `quantity_above_remaining` for more than was asked for;
            `restock_out_of_range` for more than has come.
    """
    _, one = _find(returns, return_id)
    _require(may_receive(one), one)
    outstanding = one.outstanding
    come = add_up(
        order, lines, left=lambda line: outstanding[line.line_number], purpose="to receive"
    )
    restock = {line.line_number: 0 for line, _ in come}
    for index, line in enumerate(lines):
        if not 0 <= line.restock <= line.quantity:
            raise DomainError(
                "restock_out_of_range",
                "as many can be sold again as have come",
                field=f"/lines/{index}/restock",
            )
        number = find_line(order, line.sku, line.line_number, f"/lines/{index}").line_number
        restock[number] += line.restock
    return tuple(
        ReceivedLine(line.line_number, line.sku, pieces, restock[line.line_number])
        for line, pieces in come
    )


def receive(
    order: Order,
    returns: Returns | None,
    *,
    return_id: ReturnId,
    lines: Sequence[LineToReceive],
    worth_minor: int,
    left_minor: int,
) -> tuple[ReturnEvent, ...]:
    """Decide that pieces have come, and how much is owed for them.

    Args:
        order: whose return it is.
        returns: all of its returns.
        return_id: the return that they belong to.
        lines: what has come.
        worth_minor: what was taken for `received_lines` of the same, in the order's currency;
            0 where the money was never ours.
        left_minor: what may still be given back of all that was taken.

    Raises:
        DomainError: as `received_lines`; `amount_negative`, `total_too_large`.
    """
    come = received_lines(order, returns, return_id=return_id, lines=lines)
    check_amount(worth_minor, "/refund_minor")
    refund_minor = min(worth_minor, left_minor)
    _, one = _find(returns, return_id)
    number = len(one.receipts) + 1
    return (
        ReturnReceived(
            order.order_id, return_id, number, come, refund_minor, worth_minor - refund_minor
        ),
    )


def cancel(returns: Returns | None, *, return_id: ReturnId, reason: str) -> tuple[ReturnEvent, ...]:
    """Decide that nothing more of it will come; what has come stays returned.

    Raises:
        DomainError: `unknown_return`; `illegal_transition` where nothing is to come.
    """
    found, one = _find(returns, return_id)
    _require(may_cancel(one), one)
    return (ReturnCancelled(found.order_id, return_id, reason),)


def _find(returns: Returns | None, return_id: ReturnId) -> tuple[Returns, Return]:
    found = None if returns is None else returns.find(return_id)
    if returns is None or found is None:
        raise DomainError("unknown_return", "the order has no such return")
    return returns, found


def _require(legal: bool, one: Return) -> None:  # noqa: FBT001
    if not legal:
        raise DomainError(
            "illegal_transition",
            f"the return is {one.stage}",
            extra={"return_status": str(one.stage)},
        )
