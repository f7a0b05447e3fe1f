"""One order's events as they may be told today, and the order as it was at any point of them.

Rules: what was forgotten is forgotten also in the events before, even where somebody still has
the key; and the past is folded by the same projection that made the views, so to the same
bytes as they had then.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from domain.envelope import Recorded
from domain.events import DomainEvent
from domain.order.events import OrderPersonalDataForgotten
from domain.personal import FORGOTTEN, mask
from projections.order.document import OrderDocument, fold

Events: TypeAlias = Sequence[Recorded[DomainEvent]]
Point: TypeAlias = int | datetime | None
"""A place in the log: a position, a time (of recording), or None: its end."""


def forgotten(events: Events) -> Events:
    """Take an order's whole history; give it without what was forgotten in the course of it.

    Nor what came after that: it is of the same customer, whatever was sealed then.
    """
    if any(isinstance(recorded.event, OrderPersonalDataForgotten) for recorded in events):
        return [*map(_forget, events)]
    return events


def fold_until(events: Events, point: Point) -> OrderDocument | None:
    """Give the order as it was then; None: it had not been placed yet."""
    return fold(recorded for recorded in events if _is_by(recorded, point))


def _is_by(recorded: Recorded[DomainEvent], point: Point) -> bool:
    if point is None:
        return True
    if isinstance(point, int):
        return recorded.position <= point
    return recorded.recorded_at <= point


def _forget(recorded: Recorded[DomainEvent]) -> Recorded[DomainEvent]:
    return recorded._replace(event=mask(recorded.event, FORGOTTEN))
