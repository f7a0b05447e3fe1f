"""What the saga's events change in the order's document: what it waits for, and until when.

Kept are the steps of which something is still to come; what is over is in the history. Nothing
of it is in the timeline: customers read what happened, not how we came to it.
"""

from typing import TypeAlias, assert_never

from domain.envelope import Recorded
from domain.events import DomainEvent
from domain.fulfilment.events import (
    FulfilmentCompensating,
    FulfilmentCompleted,
    FulfilmentEvent,
    FulfilmentFailed,
    FulfilmentStarted,
    FulfilmentStepDone,
    FulfilmentStepFailed,
    FulfilmentStepSkipped,
    FulfilmentStepStarted,
    FulfilmentStepTimedOut,
    FulfilmentStuck,
    Step,
)
from domain.fulfilment.saga import CALLED_OFF
from domain.fulfilment.waiting import waiting_for
from projections.order.body import Body, maybe_timestamp, timestamp
from projections.order.states import fulfilment_of

_OfStep: TypeAlias = (
    FulfilmentStepStarted
    | FulfilmentStepDone
    | FulfilmentStepFailed
    | FulfilmentStepTimedOut
    | FulfilmentStuck
    | FulfilmentStepSkipped
)
_NOTHING = {
    "waiting_for": None,
    "step": None,
    "subject": None,
    "since": None,
    "due_at": None,
    "stuck": None,
}


def change(body: Body, event: FulfilmentEvent, recorded: Recorded[DomainEvent]) -> None:
    match event:
        case FulfilmentStarted():
            body["fulfilment"] = _NOTHING | {
                "outcome": None,
                "is_charged": event.charged,
                "stock_held_until": None,
                "steps": [],
            }
        case FulfilmentCompensating() | FulfilmentFailed():
            body["fulfilment"] = body["fulfilment"] | {"outcome": event.outcome}
        case FulfilmentCompleted():
            body["fulfilment"] = body["fulfilment"] | {"outcome": "completed"}
        case _:
            _change_step(body, event, recorded)


def _change_step(body: Body, event: _OfStep, recorded: Recorded[DomainEvent]) -> None:
    shown = body["fulfilment"]
    steps = shown["steps"]
    before = next(
        (one for one in steps if (one["step"], one["subject"]) == (event.step, event.subject)), None
    )
    after = _moved(before, event, timestamp(recorded.envelope.occurred_at))
    if before is None:
        steps = steps if after is None else [*steps, after]
    else:
        steps = [after if one is before else one for one in steps]
    body["fulfilment"] = shown | {"steps": [one for one in steps if one is not None]}
    if isinstance(event, FulfilmentStepStarted) and event.step is Step.RESERVE:
        body["fulfilment"]["stock_held_until"] = maybe_timestamp(event.due_at)
    body["fulfilment"] |= _first(body)


def _moved(before: Body | None, event: _OfStep, now: str) -> Body | None:
    """Give a step as it is after an event; None: nothing is to come of it."""
    match event:
        case FulfilmentStepStarted():
            return {
                "step": str(event.step),
                "subject": event.subject,
                "attempt": event.attempt,
                "since": now if before is None else before["since"],
                "due_at": maybe_timestamp(event.due_at),
                "is_overdue": False,
                "stuck": None,
            }
        case FulfilmentStepDone() | FulfilmentStepSkipped():
            return None
        case FulfilmentStepFailed():
            if before is None or (event.retry_at is None and not _is_left_to_people(event)):
                return None
            return before | {"due_at": maybe_timestamp(event.retry_at), "is_overdue": False}
        case FulfilmentStepTimedOut():
            return None if before is None else before | {"is_overdue": True}
        case FulfilmentStuck():
            return (before or _given_up(event, now)) | {"stuck": event.reason}
        case _:
            assert_never(event)


def _is_left_to_people(event: FulfilmentStepFailed) -> bool:
    """Whether that it is stuck follows in the same breath, not that nobody wants it any more."""
    return event.step in (Step.CAPTURE, Step.REFUND) and event.reason != CALLED_OFF


def _given_up(event: FulfilmentStuck, now: str) -> Body:
    """Bring back a step that an earlier version dropped as it failed, for people to look at."""
    return {
        "step": str(event.step),
        "subject": event.subject,
        "attempt": 0,
        "since": now,
        "due_at": None,
        "is_overdue": False,
        "stuck": None,
    }


def _first(body: Body) -> Body:
    """Say what is most urgent of all that it waits for."""
    waits = waiting_for(fulfilment_of(body))
    if not waits:
        return _NOTHING
    first = waits[0]
    [since] = [
        one["since"]
        for one in body["fulfilment"]["steps"]
        if (one["step"], one["subject"]) == (first.step, first.subject)
    ]
    return {
        "waiting_for": first.words,
        "step": str(first.step),
        "subject": first.subject or None,
        "since": since,
        "due_at": maybe_timestamp(first.until),
        "stuck": first.stuck,
    }
