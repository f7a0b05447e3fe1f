"""Ask for a return, approve it, take in what comes, or call it off."""

from collections.abc import Sequence
from dataclasses import dataclass

from commands.order.change import Decision, Target, change_order
from commands.order.file import OrderFile
from commands.ports import Answer, Ports, Request
from domain.fulfilment.standing import taken_minor
from domain.ids import ReturnId
from domain.order.state import Order
from domain.payment.shares import due_minor, refund_minor, value_minor
from domain.returns import decisions
from domain.returns.decisions import LineToReceive
from domain.returns.events import ReceivedLine, ReturnReason
from domain.returns.status import returned_pieces
from domain.shipment.pieces import LineRequest
from domain.shipment.status import shipped_pieces

RETURN = "return"
"""The scope of names under which the order of a return is found."""


@dataclass(frozen=True, slots=True)
class RequestReturn:
    """Attributes: reason_code: why, in a word that can be counted."""

    lines: Sequence[LineRequest]
    reason_code: ReturnReason
    reason: str


async def request_return(
    target: Target, command: RequestReturn, request: Request, ports: Ports
) -> Answer:
    """Ask to send pieces back. Raises as `change_order`, and `decisions.request`."""
    return_id = ReturnId(ports.names.new_event_id())

    def decide(order: Order, file: OrderFile) -> Decision:
        events = decisions.request(
            order,
            file.shipments.state,
            file.returns.state,
            return_id=return_id,
            lines=command.lines,
            reason_code=command.reason_code,
            reason=command.reason,
        )
        return Decision(
            file.returns,
            events,
            read=[file.order, file.shipments],
            body={"return_id": str(return_id)},
            unique={RETURN: str(return_id)},
        )

    return await change_order(target, decide, request, ports)


async def approve_return(
    target: Target, return_id: ReturnId, request: Request, ports: Ports
) -> Answer:
    """Say that the shop takes it back. Raises as `change_order`, and `decisions.approve`."""

    def decide(_order: Order, file: OrderFile) -> Decision:
        events = decisions.approve(file.returns.state, return_id=return_id)
        return Decision(file.returns, events, body={"return_id": str(return_id)})

    return await change_order(target, decide, request, ports)


async def receive_return(
    target: Target,
    return_id: ReturnId,
    lines: Sequence[LineToReceive],
    request: Request,
    ports: Ports,
) -> Answer:
    """Take in what has come, and say what is owed for it.

    Raises as `change_order`, and the rules of `decisions.receive`.
    """

    def decide(order: Order, file: OrderFile) -> Decision:
        returns = file.returns.state
        come = decisions.received_lines(order, returns, return_id=return_id, lines=lines)
        events = decisions.receive(
            order,
            returns,
            return_id=return_id,
            lines=lines,
            worth_minor=_worth_minor(order, file, come),
            left_minor=_left_minor(order, file),
        )
        return Decision(
            file.returns,
            events,
            read=[file.order, file.shipments, file.payment],
            body={"return_id": str(return_id)},
        )

    return await change_order(target, decide, request, ports)


def _left_minor(order: Order, file: OrderFile) -> int:
    """Give what may still be given back, of what was taken and will be for what was shipped."""
    payment = file.payment.state
    if payment is None:
        return 0
    to_come_minor = max(0, _due_minor(order, file) - taken_minor(file.facts.payment))
    return payment.unpromised_minor(file.promised_refunds, to_come_minor=to_come_minor)


def _due_minor(order: Order, file: OrderFile) -> int:
    """Give what was taken for all that was shipped, or will be once its captures are done."""
    payment = file.payment.state
    if payment is None:
        return 0
    wanted = {line.line_number: order.remaining(line) for line in order.lines}
    due = due_minor(
        owed_minor=order.owed_minor,
        authorized_minor=payment.authorized_minor,
        wanted_value_minor=value_minor(order.lines, wanted),
        shipped_value_minor=value_minor(order.lines, shipped_pieces(file.shipments.state)),
    )
    return min(due, taken_minor(file.facts.payment)) if payment.closed else due


def _worth_minor(order: Order, file: OrderFile, come: Sequence[ReceivedLine]) -> int:
    """Give what is taken for these pieces; nothing where the money was never ours."""
    returned = dict(returned_pieces(file.returns.state))
    for line in come:
        returned[line.line_number] = returned.get(line.line_number, 0) + line.quantity
    wanted = {line.line_number: order.remaining(line) for line in order.lines}
    return refund_minor(
        due_minor=_due_minor(order, file),
        wanted_value_minor=value_minor(order.lines, wanted),
        shipping_minor=order.shipping_minor,
        shipped_value_minor=value_minor(order.lines, shipped_pieces(file.shipments.state)),
        returned_value_minor=value_minor(order.lines, returned),
        claimed_minor=sum(
            receipt.refund_minor for one in file.facts.returns for receipt in one.receipts
        ),
    )


async def cancel_return(
    target: Target, return_id: ReturnId, reason: str, request: Request, ports: Ports
) -> Answer:
    """Say that nothing more of it will come. Raises as `change_order`, and `decisions.cancel`."""

    def decide(_order: Order, file: OrderFile) -> Decision:
        events = decisions.cancel(file.returns.state, return_id=return_id, reason=reason)
        return Decision(file.returns, events, body={"return_id": str(return_id)})

    return await change_order(target, decide, request, ports)
