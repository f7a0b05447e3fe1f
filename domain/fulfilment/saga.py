"""The process manager: looks at where everything of one order stands, and says what is next.

It is a pure function that is called after every event of the order and every timer. It maps no
event to a command: it compares what is with what is missing (`needs`). So a duplicate, a late or
a reordered event finds nothing missing, and what a crash left undone is found missing next time.
The caller appends all that it answers in one append, and asserts there the version of every
stream that the facts were read from: a fact that has changed makes the answer void.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from uuid import UUID

from domain.fulfilment import state
from domain.fulfilment.events import (
    FulfilmentCompensating,
    FulfilmentCompleted,
    FulfilmentEvent,
    FulfilmentFailed,
    FulfilmentStarted,
    FulfilmentStepFailed,
    Step,
)
from domain.fulfilment.facts import Facts, ParcelStatus, ReceiptFacts
from domain.fulfilment.needs import Plan, Verdict, plan
from domain.fulfilment.progress import proceed, settle
from domain.fulfilment.scene import NOTHING, Changes, Scene
from domain.fulfilment.standing import capture_fails, is_by_hand, is_off, is_skipped
from domain.fulfilment.state import Fulfilment
from domain.fulfilment.timing import Timing
from domain.ids import ShipmentId
from domain.order import decisions
from domain.order import state as order_state
from domain.order.events import HoldReason, OrderEvent, PaymentMethod
from domain.order.state import Order, OrderStatus
from domain.returns.events import ReturnRefunded
from domain.shipment.events import ShipmentCancelled

CALLED_OFF = "called_off"
NOT_SENT = "the order is not sent any more"
_MOST_ROUNDS = 50
"""An order takes three or four. This many would mean that two rules undo each other."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What to append, in this order of streams; nothing, if all is as it should be."""

    fulfilment: tuple[FulfilmentEvent, ...] = ()
    order: tuple[OrderEvent, ...] = ()
    returns: tuple[ReturnRefunded, ...] = ()
    shipments: tuple[ShipmentCancelled, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fulfilment or self.order or self.returns or self.shipments)


def react(
    order: Order, saga: Fulfilment | None, facts: Facts, *, now: datetime, timing: Timing
) -> Reaction:
    """Find all that follows from where things stand; `saga` is None before its first event.

    `now` is by the clock of who looks. Only due times are counted from it: that one was reached is
    an event (`on_call.time_out`).
    """
    if not order.fulfilled_here:
        return Reaction()
    mine: list[FulfilmentEvent] = []
    its: list[OrderEvent] = []
    if saga is None:
        mine.append(_start(order))
        saga = state.evolve(None, mine[0])
    # First, for what it frees may be owed: this event is the saga's own, and brings no other look.
    refunded = tuple(_refunded(saga, facts))
    facts = _told(facts, refunded)
    for _ in range(_MOST_ROUNDS):
        changes = _round(Scene(order, saga, facts, now, timing))
        if not changes:
            return Reaction(tuple(mine), tuple(its), refunded, tuple(_unpacked(order, facts)))
        mine += changes.fulfilment
        its += changes.order
        saga = reduce(state.evolve, changes.fulfilment, saga)
        order = reduce(order_state.evolve, changes.order, order)
    raise AssertionError(f"the saga of {order.order_id} found no rest")


def _start(order: Order) -> FulfilmentStarted:
    charged = order.payment is PaymentMethod.TOKEN and order.total_minor > 0
    return FulfilmentStarted(order.order_id, charged)


def _round(scene: Scene) -> Changes:
    """Give what the first rule says that says anything; answers come before plans."""
    settled = _settle(scene)
    if settled:
        return settled
    ahead = plan(scene.order, scene.saga, scene.facts)
    return next((changes for rule in _RULES if (changes := rule(scene, ahead))), NOTHING)


def _settle(scene: Scene) -> Changes:
    """Note the answers that have come, be they hundreds; up to the first that changes the order."""
    noted: list[FulfilmentEvent] = []
    for record in scene.saga.steps:
        changes = settle(record, scene)
        if not changes:
            continue
        noted += changes.fulfilment
        if changes.order:
            return Changes(tuple(noted), changes.order)
        saga = reduce(state.evolve, changes.fulfilment, scene.saga)
        scene = replace(scene, saga=saga)
    return Changes(tuple(noted)) if noted else NOTHING


def _turn_back(scene: Scene, ahead: Plan) -> Changes:
    """Begin to undo everything, if there is anything to undo."""
    saga, found = scene.saga, ahead.verdict
    if found is None or saga.outcome is not None or saga.over or not ahead.needs:
        return NOTHING
    event = FulfilmentCompensating(scene.order.order_id, found.outcome, found.reason)
    return Changes((event,))


def _call_off(scene: Scene, ahead: Plan) -> Changes:
    """End the steps that are wanted no more. What still comes of them is seen in the facts."""
    unwanted = [
        record for record in scene.saga.live() if (record.step, record.subject) not in ahead.needs
    ]
    if not unwanted:
        return NOTHING
    return Changes(
        tuple(
            FulfilmentStepFailed(
                scene.order.order_id,
                record.step,
                record.subject,
                record.attempt,
                CALLED_OFF,
                retry_at=None,
            )
            for record in unwanted
        )
    )


def _proceed(scene: Scene, ahead: Plan) -> Changes:
    """Start what is missing, again if it has to be."""
    events: list[FulfilmentEvent] = []
    for need in ahead.needs:
        events += proceed(need, scene)
    return Changes(tuple(events)) if events else NOTHING


def _release_hold(scene: Scene, _: Plan) -> Changes:
    """Let parcels leave again once no capture fails any more; people's holds are theirs."""
    failing = capture_fails(scene.saga)
    held = scene.order.held_for is HoldReason.CAPTURE_FAILED
    if not held or failing or scene.facts.payment.voided:
        return NOTHING  # of what the provider has let go of, no capture will come
    if scene.order.status is not OrderStatus.CONFIRMED:
        return NOTHING
    return Changes(order=decisions.release_hold(scene.order, reason="captured"))


def _decide_fate(scene: Scene, ahead: Plan) -> Changes:
    """Move the order on once nothing is missing for that."""
    order, found = scene.order, ahead.verdict
    if scene.saga.over or _is_busy(ahead, scene.facts):
        return NOTHING
    if found is not None:
        failed = FulfilmentFailed(order.order_id, found.outcome)
        return Changes((failed,), _end(order, found, scene.facts))
    if order.status is OrderStatus.PENDING:
        return Changes(order=decisions.confirm(order))
    if order.status is OrderStatus.CONFIRMED:
        completed = FulfilmentCompleted(order.order_id)
        return Changes((completed,), decisions.complete(order))
    return NOTHING


_RULES: tuple[Callable[[Scene, Plan], Changes], ...] = (
    _turn_back,
    _call_off,
    _proceed,
    _release_hold,
    _decide_fate,
)


def _is_busy(ahead: Plan, facts: Facts) -> bool:
    """Whether a step is missing for the order's fate; a return's, and people's refunds, are not."""
    returned = {receipt.subject for each in facts.returns for receipt in each.receipts}
    return any(subject not in returned and not is_by_hand(subject) for _, subject in ahead.needs)


def _end(order: Order, found: Verdict, facts: Facts) -> tuple[OrderEvent, ...]:
    if order.status is OrderStatus.CANCEL_PENDING:
        return decisions.finish_cancellation(order)
    if order.status is not OrderStatus.PENDING:
        return ()
    if found.outcome == OrderStatus.EXPIRED:
        return decisions.expire(order, reason=found.reason)
    short = facts.allocation.short
    return decisions.reject(order, reason_code=found.reason, reason=found.reason, short=short)


def _refunded(saga: Fulfilment, facts: Facts) -> Iterator[ReturnRefunded]:
    """Note with a return how much money for a receipt is back, as often as that changes.

    It is 0 where none was owed, or people left it out. While it is still to come nothing is noted.
    """
    for each in facts.returns:
        for receipt in each.receipts:
            back = facts.payment.refunds.get(receipt.subject)
            owed = saga.charged and receipt.refund_minor > 0
            settled = not owed or is_skipped(saga, Step.REFUND, receipt.subject)
            if back is None and settled:
                back = 0
            if back is not None and back != receipt.refunded_minor:
                yield ReturnRefunded(
                    saga.order_id, receipt.return_id, receipt.receipt_number, refund_minor=back
                )


def _told(facts: Facts, refunded: Sequence[ReturnRefunded]) -> Facts:
    """Give the facts as they are once that is noted with the returns."""
    back = {(one.return_id, one.receipt_number): one.refund_minor for one in refunded}

    def note(receipt: ReceiptFacts) -> ReceiptFacts:
        key = (receipt.return_id, receipt.receipt_number)
        return replace(receipt, refunded_minor=back.get(key, receipt.refunded_minor))

    returns = (replace(one, receipts=tuple(map(note, one.receipts))) for one in facts.returns)
    return replace(facts, returns=tuple(returns))


def _unpacked(order: Order, facts: Facts) -> Iterator[ShipmentCancelled]:
    """Unpack what stands there packed, and can't leave any more."""
    for parcel in facts.parcels:
        if is_off(order) and parcel.status is ParcelStatus.PACKED:
            shipment_id = ShipmentId(UUID(parcel.shipment_id))
            yield ShipmentCancelled(order.order_id, shipment_id, NOT_SENT)
