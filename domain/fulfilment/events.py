"""The saga's own log: every step, time-out and compensation, for support staff to read.

A step that is started is the request: the service whose step it is consumes it, does it, and
answers on the stream of its own aggregate.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from domain.ids import OrderId
from domain.personal import FreeText


class Step(StrEnum):
    """What an order can wait for. In brackets: who does it."""

    RESERVE = "reserve"
    """Hold all lines (inventory)."""
    AUTHORIZE = "authorize"
    """Hold the money (payment); `attempt` counts."""
    COMMIT = "commit"
    """Make the reservation final (inventory)."""
    SHIP = "ship"
    """Create and dispatch parcels (the merchant)."""
    CAPTURE = "capture"
    """Take the money of one parcel (payment); `subject` is the parcel's id."""
    DELIVER = "deliver"
    """Bring one parcel (the carrier); `subject` is the parcel's id."""
    RELEASE = "release"
    """Compensation: give the stock back (inventory)."""
    VOID = "void"
    """Compensation: let go of the money that was not captured (payment)."""
    REFUND = "refund"
    """Compensation: give captured money back (payment); `subject` is what for."""
    RESTOCK = "restock"
    """Put received pieces back (inventory); `subject` is return id/receipt number."""


@dataclass(frozen=True, slots=True)
class FulfilmentStarted:
    """Attributes: charged: whether the money is ours to take; not where it is settled elsewhere."""

    order_id: OrderId
    charged: bool


@dataclass(frozen=True, slots=True)
class FulfilmentStepStarted:
    """A service is asked to do it; again with the same attempt: to say what came of it.

    Attributes:
        subject: which parcel, return or refund, where there may be several; else ''.
        due_at: when somebody should look, or the saga acts by itself; None: it waits for ever.
    """

    order_id: OrderId
    step: Step
    subject: str
    attempt: int
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class FulfilmentStepDone:
    order_id: OrderId
    step: Step
    subject: str
    attempt: int


@dataclass(frozen=True, slots=True)
class FulfilmentStepFailed:
    """One attempt came to nothing, or is wanted no more.

    Attributes:
        reason: a word that can be counted, such as `card_declined` or `short_stock`.
        retry_at: when the next attempt begins; None: by itself there is none.
    """

    order_id: OrderId
    step: Step
    subject: str
    attempt: int
    reason: str
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class FulfilmentStepTimedOut:
    """The time of a step ran out, or the pause after it, by the clock of who looked."""

    order_id: OrderId
    step: Step
    subject: str
    attempt: int


@dataclass(frozen=True, slots=True)
class FulfilmentStuck:
    """The saga can't go on by itself: `ordertrail saga list --stuck` shows it."""

    order_id: OrderId
    step: Step
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class FulfilmentStepSkipped:
    """Somebody on call decided that a step needn't be done: `ordertrail saga skip`."""

    order_id: OrderId
    step: Step
    subject: str
    reason: FreeText


@dataclass(frozen=True, slots=True)
class FulfilmentCompensating:
    """From here on everything is undone. Attributes: outcome: the status it leads to."""

    order_id: OrderId
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class FulfilmentCompleted:
    order_id: OrderId


@dataclass(frozen=True, slots=True)
class FulfilmentFailed:
    """Nothing is owed in either direction any more, and nothing was delivered."""

    order_id: OrderId
    outcome: str


FulfilmentEvent: TypeAlias = (
    FulfilmentStarted
    | FulfilmentStepStarted
    | FulfilmentStepDone
    | FulfilmentStepFailed
    | FulfilmentStepTimedOut
    | FulfilmentStuck
    | FulfilmentStepSkipped
    | FulfilmentCompensating
    | FulfilmentCompleted
    | FulfilmentFailed
)
