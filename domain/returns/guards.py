"""When something may be decided on a return."""

from domain.returns.state import Return, Returns
from domain.returns.status import return_requested_pieces
from domain.shipment.state import Shipments
from domain.shipment.status import delivered_pieces


def may_request(shipments: Shipments | None, returns: Returns | None) -> bool:
    """Whether some piece was delivered and is in no return."""
    asked_back = return_requested_pieces(returns)
    return any(
        pieces > asked_back.get(number, 0) for number, pieces in delivered_pieces(shipments).items()
    )


def may_approve(one: Return) -> bool:
    return not one.approved and not one.cancelled


def may_receive(one: Return) -> bool:
    """Whether something of it may come: the shop has agreed, and not all has come."""
    return one.approved and not one.complete


def may_cancel(one: Return) -> bool:
    """Whether something is still to come that needn't."""
    return not one.complete
