"""What the saga remembers of itself: its steps, each with where it stands. No rules here."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias, assert_never

from domain.aggregate import Aggregate
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
from domain.ids import OrderId


class Condition(StrEnum):
    OPEN = "open"
    PAUSED = "paused"
    """It failed, and is tried again at `due_at`."""
    STUCK = "stuck"
    """It goes on by an answer after all, or by somebody on call."""
    DONE = "done"
    FAILED = "failed"
    """It is over: it came to nothing, or was called off."""
    SKIPPED = "skipped"


_LIVE = (Condition.OPEN, Condition.PAUSED, Condition.STUCK)
NO_ANSWER = "no_answer"
"""Why a step is stuck whose service was asked again and again."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step for one subject, at its latest attempt.

    Attributes:
        due_at: when its time runs out or, while it is paused, its pause.
        timed_out: whether that was noticed.
        asked: how often a service was asked in this attempt.
        since: when the first attempt was due; attempts after a failure count on from there.
        reason: why it is paused, stuck, failed or skipped.
    """

    step: Step
    subject: str
    attempt: int
    condition: Condition
    due_at: datetime | None
    timed_out: bool = False
    asked: int = 1
    since: datetime | None = None
    reason: str = ""

    @property
    def is_live(self) -> bool:
        """Whether something is still to come of it."""
        return self.condition in _LIVE

    @property
    def is_unanswered(self) -> bool:
        """Whether the latest attempt may have been done, and may yet be done."""
        stuck = self.condition is Condition.STUCK and self.reason == NO_ANSWER
        return stuck or self.condition is Condition.OPEN


@dataclass(frozen=True, slots=True)
class Fulfilment:
    """The saga of one order.

    Attributes:
        charged: whether the money is ours to take.
        steps: one record per step and subject, in the order in which they were first started.
        outcome: the status that everything is being undone for; None: it goes forward.
        reason: why it is being undone.
        over: whether it was completed or has failed; returns may still follow.
    """

    order_id: OrderId
    charged: bool
    steps: tuple[StepRecord, ...] = ()
    outcome: str | None = None
    reason: str = ""
    over: bool = False

    def of(self, step: Step, subject: str = "") -> StepRecord | None:
        """Find the record of a step; None: it was never started."""
        for record in self.steps:
            if (record.step, record.subject) == (step, subject):
                return record
        return None

    def live(self) -> Iterator[StepRecord]:
        return (record for record in self.steps if record.is_live)


StepEvent: TypeAlias = (
    FulfilmentStepStarted
    | FulfilmentStepDone
    | FulfilmentStepFailed
    | FulfilmentStepTimedOut
    | FulfilmentStuck
    | FulfilmentStepSkipped
)


def evolve(saga: Fulfilment | None, event: FulfilmentEvent) -> Fulfilment:
    """Fold one event. A stream that does not begin with its start can't be, and crashes."""
    if isinstance(event, FulfilmentStarted):
        return Fulfilment(event.order_id, event.charged)
    if saga is None:
        raise AssertionError(f"{type(event).__name__} before FulfilmentStarted")
    match event:
        case FulfilmentCompensating(outcome=outcome, reason=reason):
            return replace(saga, outcome=outcome, reason=reason)
        case FulfilmentCompleted() | FulfilmentFailed():
            return replace(saga, over=True)
        case _:
            return _step(saga, event)


def _step(saga: Fulfilment, event: StepEvent) -> Fulfilment:
    before = saga.of(event.step, event.subject)
    if isinstance(event, FulfilmentStepStarted):
        after = _started(before, event)
    elif before is None:
        raise AssertionError(f"{type(event).__name__} of a step that was never started")
    else:
        after = _changed(before, event)
    if before is None:
        return replace(saga, steps=(*saga.steps, after))
    steps = tuple(after if record is before else record for record in saga.steps)
    return replace(saga, steps=steps)


def _started(before: StepRecord | None, event: FulfilmentStepStarted) -> StepRecord:
    again = before is not None and before.attempt == event.attempt
    goes_on = before is not None and before.is_live
    return StepRecord(
        step=event.step,
        subject=event.subject,
        attempt=event.attempt,
        condition=Condition.OPEN,
        due_at=event.due_at,
        asked=before.asked + 1 if before is not None and again else 1,
        since=before.since if before is not None and goes_on else event.due_at,
    )


def _changed(
    record: StepRecord,
    event: FulfilmentStepDone
    | FulfilmentStepFailed
    | FulfilmentStepTimedOut
    | FulfilmentStuck
    | FulfilmentStepSkipped,
) -> StepRecord:
    match event:
        case FulfilmentStepDone():
            return replace(record, condition=Condition.DONE, reason="")
        case FulfilmentStepFailed(reason=reason, retry_at=None):
            return replace(record, condition=Condition.FAILED, reason=reason)
        case FulfilmentStepFailed(reason=reason, retry_at=at):
            paused = Condition.PAUSED
            return replace(record, condition=paused, reason=reason, due_at=at, timed_out=False)
        case FulfilmentStepTimedOut():
            return replace(record, timed_out=True)
        case FulfilmentStuck(reason=reason):
            return replace(record, condition=Condition.STUCK, reason=reason)
        case FulfilmentStepSkipped(reason=reason):
            return replace(record, condition=Condition.SKIPPED, reason=reason)
        case _:
            assert_never(event)


FULFILMENT: Aggregate[Fulfilment, FulfilmentEvent] = Aggregate("fulfilment.v1", Fulfilment, evolve)
