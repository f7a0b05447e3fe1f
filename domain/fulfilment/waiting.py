"""What an order waits for and until when: for its timer, its document, and people on call."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from domain.fulfilment.events import Step
from domain.fulfilment.state import Condition, Fulfilment, StepRecord

_WORDS = {
    Step.RESERVE: "stock",
    Step.AUTHORIZE: "the payment",
    Step.COMMIT: "stock",
    Step.SHIP: "the merchant's parcels",
    Step.CAPTURE: "the money of a parcel",
    Step.DELIVER: "the carrier",
    Step.RELEASE: "stock to be given back",
    Step.VOID: "money to be let go of",
    Step.REFUND: "money to be given back",
    Step.RESTOCK: "returned pieces to be put back",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that an order waits for.

    Attributes:
        words: what it is, in plain words.
        until: when the saga acts by itself, or somebody should look; None: never.
        stuck: why it can't go on by itself; None: it can.
    """

    words: str
    step: Step
    subject: str
    attempt: int
    until: datetime | None
    stuck: str | None


def waiting_for(saga: Fulfilment) -> tuple[Waiting, ...]:
    """List what an order waits for: what is stuck first, then the soonest due."""
    waits = [_waiting(saga, record) for record in saga.live()]
    return tuple(sorted(waits, key=_urgency))


def next_timer(saga: Fulfilment) -> datetime | None:
    """When `time_out` will next find something; None: never. Durable timers are set from it."""
    return min((due_at for due_at, _ in timers(saga)), default=None)


def timers(saga: Fulfilment) -> Iterator[tuple[datetime, StepRecord]]:
    """Give the times at which steps run out, and pauses end, that were not noted yet."""
    for record in saga.steps:
        runs = record.condition in (Condition.OPEN, Condition.PAUSED) or (
            record.step is Step.RESERVE and _is_unpaid(saga)
        )
        if runs and record.due_at is not None and not record.timed_out:
            yield record.due_at, record


def _is_unpaid(saga: Fulfilment) -> bool:
    """Whether the stock is held for a payment to come: then the time to live goes on."""
    authorize = saga.of(Step.AUTHORIZE)
    return saga.outcome is None and authorize is not None and authorize.is_live


def _waiting(saga: Fulfilment, record: StepRecord) -> Waiting:
    until = record.due_at
    reserve = saga.of(Step.RESERVE)
    if record.step is Step.AUTHORIZE and reserve is not None:
        until = reserve.due_at
    stuck = record.reason if record.condition is Condition.STUCK else None
    return Waiting(
        words=_WORDS[record.step],
        step=record.step,
        subject=record.subject,
        attempt=record.attempt,
        until=None if stuck else until,
        stuck=stuck,
    )


def _urgency(waiting: Waiting) -> tuple[bool, bool, float]:
    until = waiting.until
    return waiting.stuck is None, until is None, 0 if until is None else until.timestamp()
