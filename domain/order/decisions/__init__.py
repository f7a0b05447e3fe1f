"""The rules of an order: one verb per decision, (state, facts) -> events, or a DomainError.

Rules live here and only here; replaying old events never runs them again, so a rule may
be tightened without making old orders unloadable. `placing`: a new order. `progress`: what the
saga and the people on call decide. `cancelling` and `revising`: what its customer may change.
"""

from domain.order.decisions.cancelling import (
    LineToCancel,
    cancel,
    cancel_lines,
    finish_cancellation,
    forget_personal_data,
    request_cancellation,
)
from domain.order.decisions.placing import MOST_LINES, place
from domain.order.decisions.progress import (
    complete,
    confirm,
    expire,
    hold,
    reject,
    release_hold,
)
from domain.order.decisions.refusals import LARGEST_QUANTITY
from domain.order.decisions.revising import LineToRevise, change_address, revise

__all__ = [
    "LARGEST_QUANTITY",
    "MOST_LINES",
    "LineToCancel",
    "LineToRevise",
    "cancel",
    "cancel_lines",
    "change_address",
    "complete",
    "confirm",
    "expire",
    "finish_cancellation",
    "forget_personal_data",
    "hold",
    "place",
    "reject",
    "release_hold",
    "request_cancellation",
    "revise",
]
