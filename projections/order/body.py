"""What all parts of the order's document share: how it is written, and its timeline.

Rule: a body belongs to who changes it, but nothing inside of it does. Nested values are replaced,
never changed in place, so that a document stays as it was when more is folded over it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec

from domain.envelope import Recorded
from domain.events import DomainEvent
from domain.personal import FORGOTTEN

Body: TypeAlias = dict[str, Any]
"""JSON values, as sent. Members keep their order, so that equal documents are equal bytes."""

MOST_STEPS = 100
"""Of a timeline: the first, and the newest."""
MICROSECONDS_LENGTH = len("2026-01-31T12:00:00.000000Z")


def tell(body: Body, recorded: Recorded[DomainEvent], code: str, text: str) -> None:
    """Add a step to the timeline, in words for the customer: nothing of how we work inside."""
    tell_at(body, timestamp(recorded.envelope.occurred_at), code, text)


def tell_at(body: Body, at: str, code: str, text: str) -> None:
    """Add a step that happened at another time than its event says."""
    steps = [*body["timeline"], {"at": at, "code": code, "text": text}]
    if len(steps) > MOST_STEPS:
        del steps[1]
    body["timeline"] = steps


def is_forgotten(body: Body) -> bool:
    """Whether whose order it is can't be read any more."""
    shown = body["customer"]
    return (shown["name"], shown["email"], shown["phone"]) == (FORGOTTEN.name, None, None)


def pieces(lines: Iterable[Any]) -> str:
    """Count what the lines of an event hold: `1 piece`, `3 pieces`."""
    count = sum(line.quantity for line in lines)
    return f"{count} piece{'' if count == 1 else 's'}"


def timestamp(time: datetime) -> str:
    """Write an aware time as RFC 3339 in UTC, with microseconds, so that texts sort as times."""
    text: str = msgspec.to_builtins(time)  # isoformat takes as long as the rest of a document
    if text[-1] != "Z":
        text = msgspec.to_builtins(time.astimezone(UTC))
    return text if len(text) == MICROSECONDS_LENGTH else f"{text[:-1]}.000000Z"


def maybe_timestamp(time: datetime | None) -> str | None:
    return None if time is None else timestamp(time)
