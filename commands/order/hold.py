"""Keep an order in the building, and let it go again."""

from functools import reduce

from commands.order.change import Decision, Target, change_order
from commands.order.file import OrderFile
from commands.ports import Answer, Ports, Request
from domain.errors import DomainError
from domain.fulfilment.progress import CAPTURE_FAILED, LET_GO
from domain.order import decisions
from domain.order.state import Order, evolve


async def hold_order(target: Target, reason: str, request: Request, ports: Ports) -> Answer:
    """Hold it.

    Raises:
        DomainError: as `change_order`, and the rules of `decisions.hold`; `reserved_reason` for the
            one by which the saga knows its own holds, which it releases.
    """
    if reason == CAPTURE_FAILED:
        raise DomainError("reserved_reason", "give the reason in other words", field="/reason")

    def decide(order: Order, file: OrderFile) -> Decision:
        return Decision(file.order, decisions.hold(order, reason=reason))

    return await change_order(target, decide, request, ports)


async def release_hold(target: Target, reason: str, request: Request, ports: Ports) -> Answer:
    """Release it; it is held anew where its money was let go of while it was held otherwise.

    Raises as `change_order`, and the rules of `decisions.release_hold`.
    """

    def decide(order: Order, file: OrderFile) -> Decision:
        events = decisions.release_hold(order, reason=reason)
        payment = file.payment.state
        let_go = payment is not None and bool(payment.voided_minor)
        if let_go and order.held_for != LET_GO:
            events += decisions.hold(reduce(evolve, events, order), reason=LET_GO)
        return Decision(file.order, events, read=[file.payment])

    return await change_order(target, decide, request, ports)
