"""What timers and people on call decide about a step of the saga."""

from collections.abc import Sequence
from datetime import datetime

from domain.errors import DomainError
from domain.fulfilment.answers import RETURNED_TO_SENDER
from domain.fulfilment.events import (
    FulfilmentEvent,
    FulfilmentStepSkipped,
    FulfilmentStepStarted,
    FulfilmentStepTimedOut,
    Step,
)
from domain.fulfilment.facts import PaymentFacts
from domain.fulfilment.progress import NO_SCAN
from domain.fulfilment.state import NO_ANSWER, Condition, Fulfilment, StepRecord
from domain.fulfilment.timing import Timing
from domain.fulfilment.waiting import timers

RETRYABLE = (Condition.STUCK, Condition.PAUSED)
RETRY_NOT = (
    "a parcel came back to its sender, so there is nothing to try again:"
    " pack another one and hand it over, or cancel the lines;"
    " of an order that is completed give the money back, and skip it"
)
SKIP_NOT_YET = (
    "the provider may have done it, or do it yet: `saga retry` asks the provider;"
    " once its outcome is known, the step can be skipped"
)
_UNSKIPPABLE = (Step.RESERVE, Step.AUTHORIZE, Step.COMMIT)
_OUTCOME_UNKNOWN = (NO_ANSWER, NO_SCAN)


def time_out(saga: Fulfilment, *, now: datetime) -> tuple[FulfilmentEvent, ...]:
    """Note whose time has run out, by the clock of who looks, each once.

    Nothing, for a timer that comes too early, twice, or after the saga has moved on.
    """
    return tuple(
        FulfilmentStepTimedOut(saga.order_id, record.step, record.subject, record.attempt)
        for due_at, record in timers(saga)
        if due_at <= now
    )


def retry(
    saga: Fulfilment, step: Step, subject: str, *, now: datetime, timing: Timing
) -> tuple[FulfilmentEvent, ...]:
    """Decide that a step that failed is tried again now, stuck or between two tries.

    It is the same attempt, if nobody knows how it ended.

    Raises:
        DomainError: `unknown_step`, `step_not_stuck`; `nothing_to_retry` for what people must do.
    """
    record = _found(saga, step, subject, RETRYABLE)
    if not may_retry(record):
        raise DomainError("nothing_to_retry", RETRY_NOT)
    unknown = record.reason in _OUTCOME_UNKNOWN
    attempt = record.attempt if unknown else record.attempt + 1
    due_at = timing.due_at(step, now)
    return (FulfilmentStepStarted(saga.order_id, step, subject, attempt, due_at),)


def may_retry(record: StepRecord) -> bool:
    """Whether trying a step again can bring anything: no service sends a parcel again."""
    return record.reason != RETURNED_TO_SENDER


def skip(
    saga: Fulfilment, step: Step, subject: str, *, reason: str, payment: PaymentFacts
) -> tuple[FulfilmentEvent, ...]:
    """Decide that a stuck step needn't be done, now or later.

    Raises:
        DomainError: `unknown_step`, `step_not_stuck`; `step_not_skippable` for those that
            secure stock and money, for sending, as what is not to be sent is canceled, and for
            money that the provider may have moved, or may move yet.
    """
    _found(saga, step, subject, (Condition.STUCK,))
    if step is Step.SHIP:
        raise DomainError("step_not_skippable", "cancel the pieces that are not to be sent")
    if step in _UNSKIPPABLE:
        raise DomainError("step_not_skippable", f"no order goes on without {step}")
    under_way = {Step.CAPTURE: payment.capturing, Step.REFUND: payment.refunding}
    if subject in under_way.get(step, {}):
        raise DomainError("step_not_skippable", SKIP_NOT_YET)
    return (FulfilmentStepSkipped(saga.order_id, step, subject, reason),)


def _found(
    saga: Fulfilment, step: Step, subject: str, conditions: Sequence[Condition]
) -> StepRecord:
    record = saga.of(step, subject)
    if record is None:
        raise DomainError("unknown_step", "the order has no such step")
    if record.condition not in conditions:
        raise DomainError(
            "step_not_stuck",
            f"the step is {record.condition}",
            extra={"condition": str(record.condition)},
        )
    return record
