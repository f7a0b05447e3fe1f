"""Keep an order in the building, and let it go again."""

from functools import reduce

from commands.order.change import Decision, Target, change_order
from commands.order.file import OrderFile
from commands.ports import Answer, Ports, Request
from domain.fulfilment.standing import capture_fails
from domain.order import decisions
from domain.order.events import HoldReason
from domain.order.state import Order, evolve


async def hold_order(target: Target, reason: str, request: Request, ports: Ports) -> Answer:
    """Hold it. Raises as `change_order`, and the rules of `decisions.hold`."""

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
            events += decisions.hold(reduce(evolve, events, order), reason_code=why)
        return Decision(file.order, events, read=[file.payment, file.fulfilment])

    return await change_order(target, decide, request, ports)


def _still_held_for(order: Order, file: OrderFile) -> HoldReason | None:
    """Find what would hold the order if it were not on hold; None: nothing, or it was for that.

    Who releases a hold of money that was let go of knows that nothing is taken any more.
    """
    payment, saga = file.payment.state, file.fulfilment.state
    if order.held_for is HoldReason.AUTHORIZATION_LET_GO:
        return None
    if payment is not None and payment.voided_minor:
        return HoldReason.AUTHORIZATION_LET_GO
    if saga is not None and capture_fails(saga):
        again = HoldReason.CAPTURE_FAILED
        return None if order.held_for is again else again
    return None
