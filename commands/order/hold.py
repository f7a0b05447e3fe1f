"""Keep an order in the building, and let it go again."""

from functools import reduce

from commands.order.change import Decision, Target, change_order
from commands.order.file import OrderFile
from commands.ports import Answer, Ports, Request
from domain.order import decisions
from domain.order.events import HoldReason
from domain.order.state import Order, evolve


async def hold_order(target: Target, reason: str, request: Request, ports: Ports) -> Answer:
    """Hold it. Raises as `change_order`, and the rules of `decisions.hold`."""

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
        again = HoldReason.AUTHORIZATION_LET_GO
        if let_go and order.held_for is not again:
            events += decisions.hold(reduce(evolve, events, order), reason_code=again)
        return Decision(file.order, events, read=[file.payment])

    return await change_order(target, decide, request, ports)
