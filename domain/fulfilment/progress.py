"""How one step goes on: noted as done or failed, started, asked about again, or given up.

Rule: a new attempt begins only after a failure that is known. Where the outcome is not known,
the same attempt is asked about again, so that nothing is done twice.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from domain.fulfilment.answers import RETURNED_TO_SENDER, Done, Failed, answer
from domain.fulfilment.events import (
    FulfilmentEvent,
    FulfilmentStepDone,
    FulfilmentStepFailed,
    FulfilmentStepStarted,
    FulfilmentStuck,
    Step,
)
from domain.fulfilment.needs import Need
from domain.fulfilment.scene import NOTHING, Changes, Scene
from domain.fulfilment.standing import is_by_hand, is_skipped, unshipped
from domain.fulfilment.state import NO_ANSWER, Condition, Fulfilment, StepRecord
from domain.order import decisions
from domain.order.events import HoldReason
from domain.order.guards import may_hold
from domain.order.state import OrderStatus

NO_SCAN = "no_scan"


def settle(record: StepRecord, scene: Scene) -> Changes:
    """Note what came of a step; nothing, while nothing has, or once it was noted."""
    if not record.is_live and not _was_lost(record):
        return NOTHING
    came = answer(record, scene.order, scene.saga, scene.facts)
    if isinstance(came, Done) and record.is_live:
        return Changes(
            (FulfilmentStepDone(scene.order.order_id, record.step, record.subject, record.attempt),)
        )
    if isinstance(came, Failed) and (record.condition is Condition.OPEN or _was_lost(record)):
        holds = record.step is Step.CAPTURE and may_hold(scene.order)
        return Changes(
            tuple(_fail(record, came, scene)),
            decisions.hold(scene.order, reason_code=HoldReason.CAPTURE_FAILED) if holds else (),
        )
    return NOTHING


def proceed(need: Need, scene: Scene) -> tuple[FulfilmentEvent, ...]:
    """Start a step that is missing, again where it has to be; or give it up for people."""
    step, subject = need
    record = scene.saga.of(step, subject)
    if record is None or record.condition in (Condition.DONE, Condition.FAILED):
        return (start(scene, need, scene.timing.due_at(step, scene.now)),)
    if record.condition is Condition.PAUSED and record.timed_out:
        return (start(scene, need, scene.timing.due_at(step, scene.now)),)
    if step is Step.DELIVER:
        return _look_for_scan(record, scene)
    if record.condition is Condition.OPEN and record.timed_out:
        return _ask_again(record, scene)
    return ()


def start(scene: Scene, need: Need, due_at: datetime | None) -> FulfilmentStepStarted:
    """Start the next attempt of a step; of people's refund the one that failed, to be noted."""
    step, subject = need
    record = scene.saga.of(step, subject)
    attempt = 1 if record is None else record.attempt + 1
    if step is Step.REFUND and is_by_hand(subject):
        attempt = scene.facts.payment.failures[subject]
    return FulfilmentStepStarted(scene.order.order_id, *need, attempt, due_at)


def ask(saga: Fulfilment, record: StepRecord, due_at: datetime | None) -> FulfilmentStepStarted:
    """Ask about the same attempt again."""
    return FulfilmentStepStarted(saga.order_id, record.step, record.subject, record.attempt, due_at)


def _was_lost(record: StepRecord) -> bool:
    """Whether nobody knew where a parcel is; it may come back to its sender after all.

    Its second attempt begins with that (`_back_too_late`), and is people's to end.
    """
    lost = record.attempt == 1 and record.condition in (Condition.STUCK, Condition.SKIPPED)
    return record.step is Step.DELIVER and lost


def _fail(record: StepRecord, failed: Failed, scene: Scene) -> Iterator[FulfilmentEvent]:
    order_id, key = scene.order.order_id, (record.step, record.subject)
    retry_at = None
    if not failed.final:
        since = record.since or scene.now
        retry_at = scene.timing.retry_at(record.step, record.attempt, since, scene.now)
    yield FulfilmentStepFailed(order_id, *key, record.attempt, failed.reason, retry_at)
    if record.step in (Step.CAPTURE, Step.REFUND) and retry_at is None:
        yield FulfilmentStuck(order_id, *key, failed.reason)
    if failed.reason == RETURNED_TO_SENDER and unshipped(scene.order, scene.facts):
        if scene.order.status is OrderStatus.CONFIRMED:
            yield from _back_at_sender(scene)
        elif scene.order.status is OrderStatus.COMPLETED:
            yield from _back_too_late((record.step, record.subject), scene)


def _back_at_sender(scene: Scene) -> Iterator[FulfilmentEvent]:
    """Wait for people: to send the pieces again, or to cancel them."""
    ship: Need = (Step.SHIP, "")
    record = scene.saga.of(*ship)
    if is_skipped(scene.saga, *ship):
        return
    if record is None or not record.is_live:
        yield start(scene, ship, scene.timing.due_at(Step.SHIP, scene.now))
    yield FulfilmentStuck(scene.order.order_id, *ship, RETURNED_TO_SENDER)


def _back_too_late(deliver: Need, scene: Scene) -> Iterator[FulfilmentEvent]:
    """Wait for people to give money back: the order is over, and nothing is sent or canceled."""
    yield start(scene, deliver, None)
    yield FulfilmentStuck(scene.order.order_id, *deliver, RETURNED_TO_SENDER)


def _ask_again(record: StepRecord, scene: Scene) -> tuple[FulfilmentEvent, ...]:
    if record.step in (Step.RESERVE, Step.SHIP):
        return ()  # the one ends everything, the other is late and shown as such
    # An authorization is asked about until the reservation ends.
    if record.step is not Step.AUTHORIZE and record.asked >= scene.timing.most_asks:
        return (FulfilmentStuck(scene.order.order_id, record.step, record.subject, NO_ANSWER),)
    return (ask(scene.saga, record, scene.timing.ask_again_at(record.asked, scene.now)),)


def _look_for_scan(record: StepRecord, scene: Scene) -> tuple[FulfilmentEvent, ...]:
    """Wait on where there was a scan since; otherwise nobody knows where the parcel is."""
    if not record.timed_out or record.due_at is None:
        return ()
    for parcel in scene.facts.parcels:
        if parcel.shipment_id == record.subject and parcel.heard_at is not None:
            due_at = parcel.heard_at + timedelta(seconds=scene.timing.deliver_s)
            if due_at > record.due_at:
                return (ask(scene.saga, record, due_at),)
    if record.condition is Condition.STUCK:
        return ()
    return (FulfilmentStuck(scene.order.order_id, record.step, record.subject, NO_SCAN),)
