"""Which steps an order needs right now, and whether all has to be undone instead.

This is the whole plan of the saga. It names what is missing, so a step that was done, by
whomever, is not asked for, and one that was undone is asked for again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from domain.fulfilment.events import Step
from domain.fulfilment.facts import REST, Facts
from domain.fulfilment.standing import (
    going_minor,
    holds_too_much,
    is_by_hand,
    is_off,
    is_skipped,
    money_is_out,
    needs_no_money,
    promised_minor,
    rest_minor,
    stock_is_out,
    surplus_minor,
    surplus_refund,
    undelivered,
    unshipped,
)
from domain.fulfilment.state import Condition, Fulfilment
from domain.order.state import Order, OrderStatus
from domain.payment.events import DeclineCode

Need: TypeAlias = tuple[Step, str]
LINES = "lines"
"""The release of what is held beyond what is wanted; the other release gives all back."""
_EXPIRES = {DeclineCode.ACTION_NOT_TAKEN}


@dataclass(frozen=True, slots=True)
class Verdict:
    """All has to be undone. Attributes: outcome: the status that it leads to."""

    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Attributes: needs: the steps that should be open now; verdict: None: it goes forward."""

    needs: tuple[Need, ...]
    verdict: Verdict | None


def plan(order: Order, saga: Fulfilment, facts: Facts) -> Plan:
    """Say what the order needs right now."""
    found = _verdict(order, saga, facts)
    if found is not None:
        # One after the other: stock that is back can be sold while the money is on its way.
        wanted = list(_unskipped(saga, _undo(order, saga, facts)))[:1]
    else:
        forward = (*_forward(order, saga, facts), *_by_hand(saga, facts))
        wanted = list(_unskipped(saga, iter(forward)))
    return Plan((*wanted, *_unskipped(saga, _returns(order, saga, facts))), found)


def _verdict(order: Order, saga: Fulfilment, facts: Facts) -> Verdict | None:
    """Find whether the order can't or needn't go on. What was found once is final."""
    if is_off(order):
        cancelling = order.status is OrderStatus.CANCEL_PENDING
        outcome = OrderStatus.CANCELLED if cancelling else order.status
        return Verdict(outcome, outcome)
    if saga.outcome is not None:
        return Verdict(saga.outcome, saga.reason)
    if order.status is not OrderStatus.PENDING:
        return None
    return _stock_verdict(order, saga, facts) or _money_verdict(order, saga, facts)


def _stock_verdict(order: Order, saga: Fulfilment, facts: Facts) -> Verdict | None:
    allocation = facts.allocation
    if allocation.short and not allocation.reserved:
        return Verdict(OrderStatus.REJECTED, "short_stock")
    if allocation.lost:
        paid = needs_no_money(order, saga, facts.payment)
        outcome = OrderStatus.REJECTED if paid else OrderStatus.EXPIRED
        return Verdict(outcome, "reservation_lost")
    reserve = saga.of(Step.RESERVE)
    ready = allocation.reserved and needs_no_money(order, saga, facts.payment)
    if reserve is not None and reserve.timed_out and not ready:
        return _ran_out(saga)
    return None


def _ran_out(saga: Fulfilment) -> Verdict:
    """Tell a customer who did not act in time from a bank that said no until then."""
    authorize = saga.of(Step.AUTHORIZE)
    if authorize is not None and authorize.condition is Condition.PAUSED:
        return Verdict(OrderStatus.REJECTED, authorize.reason)
    return Verdict(OrderStatus.EXPIRED, "reservation_ran_out")


def _money_verdict(order: Order, saga: Fulfilment, facts: Facts) -> Verdict | None:
    authorize = saga.of(Step.AUTHORIZE)
    if authorize is None or authorize.condition is not Condition.FAILED:
        return None
    if needs_no_money(order, saga, facts.payment):
        return None
    expires = authorize.reason in _EXPIRES
    return Verdict(OrderStatus.EXPIRED if expires else OrderStatus.REJECTED, authorize.reason)


def _undo(order: Order, saga: Fulfilment, facts: Facts) -> Iterator[Need]:
    if stock_is_out(saga, facts.allocation):
        yield Step.RELEASE, ""
    if money_is_out(saga, facts.payment):
        yield Step.VOID, ""
    if surplus_minor(order, facts):
        yield _surplus(facts)


def _forward(order: Order, saga: Fulfilment, facts: Facts) -> Iterator[Need]:
    if order.status is OrderStatus.PENDING:
        yield from _secure(order, saga, facts)
    if order.status is OrderStatus.CONFIRMED:
        yield from _send(order, saga, facts)
    if order.status is OrderStatus.COMPLETED and saga.charged and surplus_minor(order, facts):
        yield _surplus(facts)  # the bank has sent it back
    if order.status is OrderStatus.COMPLETED:  # a lost parcel came back, until people have seen it
        yield from (
            (record.step, record.subject) for record in saga.live() if record.step is Step.DELIVER
        )
    if facts.allocation.reserved and holds_too_much(order, facts):
        yield Step.RELEASE, LINES


def _secure(order: Order, saga: Fulfilment, facts: Facts) -> Iterator[Need]:
    if not facts.allocation.reserved:
        yield Step.RESERVE, ""
    elif not needs_no_money(order, saga, facts.payment):
        yield Step.AUTHORIZE, ""
    elif not facts.allocation.committed:
        yield Step.COMMIT, ""


def _send(order: Order, saga: Fulfilment, facts: Facts) -> Iterator[Need]:
    shipping = bool(unshipped(order, facts)) and not is_skipped(saga, Step.SHIP)
    carried = undelivered(facts, saga)
    captures = _uncaptured(saga, facts)
    if shipping:
        yield Step.SHIP, ""
    yield from ((Step.CAPTURE, subject) for subject in captures)
    yield from ((Step.DELIVER, subject) for subject in carried)
    if saga.charged and not (shipping or captures or carried):
        yield from _settle(order, saga, facts)


def _uncaptured(saga: Fulfilment, facts: Facts) -> list[str]:
    return [
        parcel.shipment_id
        for parcel in facts.parcels
        if facts.payment.authorized
        and (parcel.has_left or _is_unanswered(saga, Step.CAPTURE, parcel.shipment_id))
        and parcel.shipment_id not in facts.payment.captures
        and not is_skipped(saga, Step.CAPTURE, parcel.shipment_id)
    ]


def _is_unanswered(saga: Fulfilment, step: Step, subject: str) -> bool:
    """Whether it may be done already; so its end is waited for, though it is wanted no more."""
    record = saga.of(step, subject)
    return record is not None and record.is_unanswered


def _settle(order: Order, saga: Fulfilment, facts: Facts) -> Iterator[Need]:
    """All is delivered: what was taken becomes what is owed, and the rest is let go of."""
    if REST not in facts.payment.captures and _is_unanswered(saga, Step.CAPTURE, REST):
        yield Step.CAPTURE, REST  # under way, it counts as held no more and as taken not yet
    elif _takes_rest(order, saga, facts):
        yield Step.CAPTURE, REST
    elif surplus_minor(order, facts) and not is_skipped(saga, *_surplus(facts)):
        yield _surplus(facts)
    elif money_is_out(saga, facts.payment):
        yield Step.VOID, ""


def _surplus(facts: Facts) -> Need:
    return Step.REFUND, surplus_refund(facts.payment)


def _takes_rest(order: Order, saga: Fulfilment, facts: Facts) -> bool:
    """Whether what is still owed will be taken; not where people settled it, or sent nothing."""
    forgone = any(
        record.step in (Step.CAPTURE, Step.SHIP) and record.condition is Condition.SKIPPED
        for record in saga.steps
    )
    return rest_minor(order, facts.payment) > 0 and not forgone


def _returns(order: Order, saga: Fulfilment, facts: Facts) -> Iterator[Need]:
    is_early = _is_early(order, saga, facts)
    for each in facts.returns:
        for receipt in each.receipts:
            owed = saga.charged and receipt.refund_minor > 0
            waits = is_early and not _is_unanswered(saga, Step.REFUND, receipt.subject)
            if owed and not waits and receipt.subject not in facts.payment.refunds:
                yield Step.REFUND, receipt.subject
            if receipt.restock and receipt.subject not in facts.allocation.restocked:
                yield Step.RESTOCK, receipt.subject


def _by_hand(saga: Fulfilment, facts: Facts) -> Iterator[Need]:
    """Refunds of people's that came to nothing: they are told, and say what is to be done.

    Not of more than is left to give back: that went, or goes, another way. Nor of an order that is
    undone: all of its money goes back.
    """
    left_minor = facts.payment.kept_minor - promised_minor(facts) - going_minor(facts)
    for refund, amount_minor in facts.payment.in_vain.items():
        if amount_minor <= left_minor:
            yield Step.REFUND, refund
    for refund in facts.payment.refunding:
        if is_by_hand(refund) and _is_unanswered(saga, Step.REFUND, refund):
            yield Step.REFUND, refund  # people have it tried again


def _is_early(order: Order, saga: Fulfilment, facts: Facts) -> bool:
    """Whether less is there than is to go back for returns, and more will be taken.

    Pieces may be back before their money was taken, or people gave back a part of it.
    """
    payment = facts.payment
    there_minor = payment.captured_minor - payment.refunded_minor - going_minor(facts)
    to_come = bool(_uncaptured(saga, facts)) or (
        order.status is OrderStatus.CONFIRMED and _takes_rest(order, saga, facts)
    )
    return to_come and promised_minor(facts) > there_minor


def _unskipped(saga: Fulfilment, wanted: Iterator[Need]) -> Iterator[Need]:
    return (need for need in wanted if not is_skipped(saga, *need))
