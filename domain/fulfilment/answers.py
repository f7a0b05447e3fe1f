"""What came of a step, read from where the other aggregates stand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from domain.fulfilment.events import Step
from domain.fulfilment.facts import Facts, ParcelStatus, PaymentFacts
from domain.fulfilment.standing import (
    holds_too_much,
    is_by_hand,
    money_is_out,
    stock_is_out,
    unshipped,
)
from domain.fulfilment.state import Fulfilment, StepRecord
from domain.order.state import Order
from domain.payment.events import DeclineCode

RETURNED_TO_SENDER = "returned_to_sender"
RETRYABLE = frozenset({DeclineCode.CARD_DECLINED, DeclineCode.INSUFFICIENT_FUNDS})
"""A bank may say yes to these a minute later. All other declines are final."""


@dataclass(frozen=True, slots=True)
class Done:
    """It is as the step wanted it, whoever made it so."""


@dataclass(frozen=True, slots=True)
class Failed:
    """This attempt came to nothing. Attributes: final: so would the next."""

    reason: str
    final: bool = True


Answer: TypeAlias = Done | Failed | None
"""None: there is none yet."""


@dataclass(frozen=True, slots=True)
class _Case:
    record: StepRecord
    order: Order
    saga: Fulfilment
    facts: Facts


def answer(record: StepRecord, order: Order, saga: Fulfilment, facts: Facts) -> Answer:
    """Find what came of a step's latest attempt."""
    return _ANSWERS[record.step](_Case(record, order, saga, facts))


def _reserve(case: _Case) -> Answer:
    if case.facts.allocation.reserved:
        return Done()
    return Failed("short_stock") if case.facts.allocation.short else None


def _authorize(case: _Case) -> Answer:
    payment = case.facts.payment
    if payment.authorized:
        return Done()
    if payment.attempt == case.record.attempt and payment.decline is not None:
        return Failed(str(payment.decline), final=payment.decline not in RETRYABLE)
    return None


def _commit(case: _Case) -> Answer:
    if case.facts.allocation.committed:
        return Done()
    return Failed("reservation_lost") if case.facts.allocation.lost else None


def _ship(case: _Case) -> Answer:
    return None if unshipped(case.order, case.facts) else Done()


def _capture(case: _Case) -> Answer:
    return _money_moved(case.record, case.facts.payment, case.facts.payment.captures)


def _deliver(case: _Case) -> Answer:
    for parcel in case.facts.parcels:
        if parcel.shipment_id == case.record.subject:
            if parcel.status is ParcelStatus.DELIVERED:
                return Done()
            if parcel.status is ParcelStatus.RETURNED:
                return Failed(RETURNED_TO_SENDER)
    return None


def _release(case: _Case) -> Answer:
    allocation = case.facts.allocation
    if case.record.subject:
        return None if holds_too_much(case.order, case.facts) else Done()
    return None if stock_is_out(case.saga, allocation) else Done()


def _void(case: _Case) -> Answer:
    return None if money_is_out(case.saga, case.facts.payment) else Done()


def _refund(case: _Case) -> Answer:
    came = _money_moved(case.record, case.facts.payment, case.facts.payment.refunds)
    if isinstance(came, Failed) and is_by_hand(case.record.subject):
        return replace(came, final=True)  # people may have asked for another in its place
    return came


def _restock(case: _Case) -> Answer:
    return Done() if case.record.subject in case.facts.allocation.restocked else None


def _money_moved(record: StepRecord, payment: PaymentFacts, moved: Mapping[str, int]) -> Answer:
    if record.subject in moved:
        return Done()
    # Attempts and failures are counted alike, so that an old failure is not taken for a new one.
    if payment.failures.get(record.subject, 0) < record.attempt:
        return None
    final = record.subject in payment.refused
    return Failed("refused" if final else "failed", final=final)


_ANSWERS: Mapping[Step, Callable[[_Case], Answer]] = {
    Step.RESERVE: _reserve,
    Step.AUTHORIZE: _authorize,
    Step.COMMIT: _commit,
    Step.SHIP: _ship,
    Step.CAPTURE: _capture,
    Step.DELIVER: _deliver,
    Step.RELEASE: _release,
    Step.VOID: _void,
    Step.REFUND: _refund,
    Step.RESTOCK: _restock,
}
