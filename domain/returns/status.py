"""How far an order's returns have come: one word for the order, and pieces by line.

Pieces that are asked back include those that have come, as shipped pieces include delivered ones.
What a cancelled return has not brought is not asked back any more.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from domain.returns.state import Return, Returns, ReturnStage
from domain.shipment.pieces import count


class ReturnStatus(StrEnum):
    NONE = "none"
    REQUESTED = "requested"
    IN_PROGRESS = "in_progress"
    """One was approved, or some of it has come; and more is to come or to be decided."""
    RETURNED = "returned"
    """All that was to come back has come, be it a part of the order."""


def return_status(returns: Returns | None) -> ReturnStatus:
    """Tell how far the returns of an order have come, those left out that brought nothing."""
    stages = {one.stage for one in _all(returns)} - {ReturnStage.CANCELLED}
    if not stages:
        return ReturnStatus.NONE
    if stages <= {ReturnStage.RECEIVED, ReturnStage.REFUNDED}:
        return ReturnStatus.RETURNED
    return ReturnStatus.REQUESTED if stages == {ReturnStage.REQUESTED} else ReturnStatus.IN_PROGRESS


def return_requested_pieces(returns: Returns | None) -> Mapping[int, int]:
    """Give the pieces that are to come back or have come, by line number."""
    return MappingProxyType(
        count(
            [
                (line_number, pieces)
                for one in _all(returns)
                for line_number, pieces in claimed_pieces(one).items()
                if pieces
            ]
        )
    )


def returned_pieces(returns: Returns | None) -> Mapping[int, int]:
    """Give the pieces that have come back, by line number."""
    return MappingProxyType(count([item for one in _all(returns) for item in one.received.items()]))


def claimed_pieces(one: Return) -> Mapping[int, int]:
    """Give the pieces of one return that are to come back or have come, by line number."""
    outstanding = one.outstanding
    return {
        line.line_number: one.received.get(line.line_number, 0) + outstanding[line.line_number]
        for line in one.lines
    }


def _all(returns: Returns | None) -> tuple[Return, ...]:
    return () if returns is None else returns.returns
