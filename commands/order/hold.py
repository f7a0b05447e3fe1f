"""Keep an order in the building, and let it go again."""

from functools import reduce

from commands.order.change import Decision, Target, change_order
from commands.order.file import OrderFile
from commands.ports import Answer, Ports, Request
from domain.errors import DomainError
from domain.fulfilment.progress import CAPTURE_FAILED, LET_GO
from domain.fulfilment.standing import capture_fails
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
    """Release it; it is held anew where its money failed meanwhile, for which nobody released it.

    Raises as `change_order`, and the rules of `decisions.release_hold`.
    """

    def decide(order: Order, file: OrderFile) -> Decision:
        events = decisions.release_hold(order, reason=reason)
        why = _still_held_for(order, file)
        if why is not None:
            events += decisions.hold(reduce(evolve, events, order), reason=why)
        return Decision(file.order, events, read=[file.payment, file.fulfilment])

    return await change_order(target, decide, request, ports)


def _still_held_for(order: Order, file: OrderFile) -> str | None:
    """Find what would hold the order if it were not on hold; None: nothing, or it was for that.

    Who releases a hold of money that was let go of knows that nothing is taken any more.
    """
    payment, saga = file.payment.state, file.fulfilment.state
    if order.held_for == LET_GO:
        return None
    if payment is not None and payment.voided_minor:
        return LET_GO
    fails = saga is not None and capture_fails(saga)
    return CAPTURE_FAILED if fails and order.held_for != CAPTURE_FAILED else None
