"""What may be done with an order right now, by whom: the list that its document shows.

Built on the guards that the decisions refuse by, so that what is listed is not refused and what
is refused is not listed. But stock is not looked at: a dispatch is listed, and refused, where
backordered pieces have not come. Which roles may ask at all is a table beside it.
"""

from collections.abc import Callable, Mapping

from domain.envelope import Role
from domain.fulfilment.facts import Facts, ParcelStatus, ReturnStatus
from domain.fulfilment.standing import going_minor, promised_minor
from domain.order import guards
from domain.order.state import Order

_LEGAL: Mapping[str, Callable[[Order, Facts], bool]] = {
    "cancel": lambda order, facts: guards.may_cancel(order, facts.live_parcels()),
    "cancel_lines": lambda order, facts: guards.may_cancel_lines(order, facts.live_parcels()),
    "revise_lines": lambda order, facts: guards.may_revise(order, facts.live_parcels()),
    "change_address": lambda order, facts: guards.may_change_address(order, facts.live_parcels()),
    "hold": lambda order, _: guards.may_hold(order),
    "release_hold": lambda order, _: guards.may_release_hold(order),
    "create_shipment": lambda order, facts: guards.may_ship(order) and _has_unpacked(order, facts),
    "dispatch_shipment": lambda order, facts: (
        guards.may_ship(order) and _has_parcel(facts, ParcelStatus.PACKED)
    ),
    "cancel_shipment": lambda _, facts: _has_parcel(facts, ParcelStatus.PACKED),
    "record_tracking": lambda _, facts: any(parcel.was_dispatched for parcel in facts.parcels),
    "request_return": lambda _, facts: _has_returnable(facts),
    "approve_return": lambda _, facts: _has_return(facts, ReturnStatus.REQUESTED),
    "receive_return": lambda _, facts: _has_return(facts, ReturnStatus.APPROVED),
    "cancel_return": lambda _, facts: (
        _has_return(facts, ReturnStatus.REQUESTED) or _has_return(facts, ReturnStatus.APPROVED)
    ),
    "refund": lambda _, facts: _refundable_minor(facts) > 0,
}
_OF_CUSTOMERS = frozenset(
    {"cancel", "cancel_lines", "revise_lines", "change_address", "request_return", "cancel_return"}
)
_BY_ROLE: Mapping[Role, frozenset[str]] = {
    Role.CUSTOMER: _OF_CUSTOMERS,
    Role.SERVICE: _OF_CUSTOMERS,
    Role.MERCHANT: frozenset(_LEGAL),
    Role.OPERATOR: frozenset(_LEGAL),
    Role.SUPPORT: frozenset(),
    Role.AUDITOR: frozenset(),
    Role.PROCESS: frozenset(),
}


def legal_actions(order: Order, facts: Facts, role: Role) -> tuple[str, ...]:
    """List what somebody in this role may do with the order now, always in the same sequence."""
    return actions_by_role(order, facts)[role]


def actions_by_role(order: Order, facts: Facts) -> Mapping[Role, tuple[str, ...]]:
    """List for each role what it may do with the order now."""
    legal = [name for name, is_legal in _LEGAL.items() if is_legal(order, facts)]
    return {role: tuple(name for name in legal if name in its) for role, its in _BY_ROLE.items()}


def _has_unpacked(order: Order, facts: Facts) -> bool:
    live = facts.live_parcels()
    return any(order.remaining(line) > live.holds(line) for line in order.lines)


def _has_parcel(facts: Facts, status: ParcelStatus) -> bool:
    return any(parcel.status is status for parcel in facts.parcels)


def _has_return(facts: Facts, status: ReturnStatus) -> bool:
    return any(each.status is status for each in facts.returns)


def _has_returnable(facts: Facts) -> bool:
    """Whether a delivered piece is in no return."""
    left = dict(facts.pieces(ParcelStatus.DELIVERED))
    for each in facts.returns:
        for number, quantity in each.pieces.items():
            left[number] = left.get(number, 0) - quantity
    return any(quantity > 0 for quantity in left.values())


def _refundable_minor(facts: Facts) -> int:
    return facts.payment.kept_minor - promised_minor(facts) - going_minor(facts)
