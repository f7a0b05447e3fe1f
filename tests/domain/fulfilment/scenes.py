"""Given/when/then for the saga: given steps and facts, when it looks, then events."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any
from uuid import UUID

from domain.fulfilment import saga as process
from domain.fulfilment.events import (
    FulfilmentEvent,
    FulfilmentStarted,
    FulfilmentStepDone,
    FulfilmentStepFailed,
    FulfilmentStepStarted,
    FulfilmentStepTimedOut,
    FulfilmentStuck,
    Step,
)
from domain.fulfilment.facts import (
    AllocationFacts,
    Facts,
    ParcelFacts,
    ParcelStatus,
    PaymentFacts,
    ReceiptFacts,
    ReturnFacts,
    ReturnStatus,
)
from domain.fulfilment.saga import Reaction
from domain.fulfilment.state import Fulfilment, evolve
from domain.fulfilment.timing import Timing
from domain.ids import ReturnId
from domain.order.events import OrderConfirmed, OrderEvent
from domain.order.state import Order
from tests.domain.orders import ORDER_ID, here

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TIMING = Timing()
CONFIRMED = OrderConfirmed(ORDER_ID)
RETURN_ID = ReturnId(UUID(int=7))

# An order of five pieces at 100 is what `here()` gives; so these are what secures it.
RESERVED = AllocationFacts(reserved=True, held={1: 5})
COMMITTED = AllocationFacts(reserved=True, committed=True, held={1: 5})
SHIPPED = AllocationFacts(reserved=True, committed=True, held={1: 0}, shipped={1: 5})
AUTHORIZED = PaymentFacts(attempt=1, authorized=True, held_minor=500)
CAPTURED = PaymentFacts(attempt=1, authorized=True, captures={"p1": 500})
NOTHING = PaymentFacts()


def seconds(after: int) -> datetime:
    return NOW + timedelta(seconds=after)


def parcel(
    status: ParcelStatus = ParcelStatus.DISPATCHED,
    quantity: int = 5,
    name: str = "p1",
    heard_at: datetime | None = None,
) -> ParcelFacts:
    return ParcelFacts(name, status, {1: quantity}, heard_at)


def receipt(
    refund_minor: int = 100, restock: int = 1, *, refunded_minor: int | None = None
) -> ReturnFacts:
    came = ReceiptFacts(RETURN_ID, 1, refund_minor, restock, refunded_minor)
    return ReturnFacts(RETURN_ID, ReturnStatus.RECEIVED, {1: 1}, (came,))


def started(
    step: Step, subject: str = "", attempt: int = 1, due_at: datetime | None = NOW
) -> FulfilmentEvent:
    return FulfilmentStepStarted(ORDER_ID, step, subject, attempt, due_at)


def done(step: Step, subject: str = "", attempt: int = 1) -> FulfilmentEvent:
    return FulfilmentStepDone(ORDER_ID, step, subject, attempt)


def failed(
    step: Step,
    reason: str,
    subject: str = "",
    attempt: int = 1,
    retry_at: datetime | None = None,
) -> FulfilmentEvent:
    return FulfilmentStepFailed(ORDER_ID, step, subject, attempt, reason, retry_at)


def timed_out(step: Step, subject: str = "", attempt: int = 1) -> FulfilmentEvent:
    return FulfilmentStepTimedOut(ORDER_ID, step, subject, attempt)


def stuck(step: Step, reason: str, subject: str = "") -> FulfilmentEvent:
    return FulfilmentStuck(ORDER_ID, step, subject, reason)


RESERVING: tuple[FulfilmentEvent, ...] = (
    FulfilmentStarted(ORDER_ID, charged=True),
    started(Step.RESERVE),
)
AUTHORIZING: tuple[FulfilmentEvent, ...] = (*RESERVING, done(Step.RESERVE), started(Step.AUTHORIZE))
COMMITTING: tuple[FulfilmentEvent, ...] = (*AUTHORIZING, done(Step.AUTHORIZE), started(Step.COMMIT))
SHIPPING: tuple[FulfilmentEvent, ...] = (*COMMITTING, done(Step.COMMIT), started(Step.SHIP))
SENT: tuple[FulfilmentEvent, ...] = (
    *SHIPPING,
    started(Step.CAPTURE, "p1"),
    started(Step.DELIVER, "p1"),
    done(Step.SHIP),
)


def saga(*events: FulfilmentEvent) -> Fulfilment:
    folded = reduce(evolve, events, None)
    assert folded is not None
    return folded


def look(
    given: Sequence[FulfilmentEvent] = (),
    order: Order | None = None,
    **facts: Any,
) -> Reaction:
    """Let the saga look: given its events, and facts by name (`allocation`, `payment`, ...)."""
    return process.react(
        order or here(),
        saga(*given) if given else None,
        Facts(**facts),
        now=NOW,
        timing=TIMING,
    )


def then(*fulfilment: FulfilmentEvent, order: Sequence[OrderEvent] = ()) -> Reaction:
    return Reaction(fulfilment, tuple(order))
