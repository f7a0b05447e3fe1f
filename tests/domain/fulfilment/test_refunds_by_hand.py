"""Refunds that people ask for by hand and that fail: who is told, and until when."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from domain.fulfilment.events import FulfilmentCompleted, FulfilmentEvent, Step
from domain.fulfilment.facts import ParcelStatus
from domain.fulfilment.on_call import skip
from domain.fulfilment.overview import facts_of
from domain.fulfilment.saga import Reaction
from domain.order.events import OrderCompleted
from domain.payment.events import RefundFailed
from tests.domain.fulfilment.scenes import (
    CAPTURED,
    CONFIRMED,
    NOTHING,
    SENT,
    SHIPPED,
    TIMING,
    done,
    failed,
    look,
    parcel,
    saga,
    seconds,
    started,
    stuck,
    then,
)
from tests.domain.orders import ORDER_ID, here
from tests.domain.payment.payments import AUTHORIZED, after, capture, refund

BY_HAND = (Step.REFUND, "manual/1")
GIVEN_UP: tuple[FulfilmentEvent, ...] = (
    started(*BY_HAND, due_at=seconds(TIMING.answer_s)),
    failed(Step.REFUND, "failed", "manual/1"),
    stuck(Step.REFUND, "failed", "manual/1"),
)
OVER: tuple[FulfilmentEvent, ...] = (
    *SENT,
    done(Step.CAPTURE, "p1"),
    done(Step.DELIVER, "p1"),
    FulfilmentCompleted(ORDER_ID),
)


def look_at_refund(events: Sequence[FulfilmentEvent], **changes: Any) -> Reaction:
    """Look at an order that is paid and delivered, of which people gave something back."""
    return look(
        events,
        here(CONFIRMED, OrderCompleted(ORDER_ID)),
        allocation=SHIPPED,
        payment=replace(CAPTURED, **changes),
        parcels=(parcel(ParcelStatus.DELIVERED),),
    )


@pytest.mark.parametrize("before", [(), (started(*BY_HAND), done(*BY_HAND))])
def test_a_refund_of_peoples_that_failed_is_stuck_at_once(
    before: tuple[FulfilmentEvent, ...],
) -> None:
    """Also one that the bank sends back after it came through."""
    failing = {"in_vain": {"manual/1": 20}, "failures": {"manual/1": 1}}
    assert look_at_refund([*OVER, *before], **failing) == then(*GIVEN_UP)
    assert look_at_refund([*OVER, *before, *GIVEN_UP], **failing) == Reaction()


def test_a_refund_of_peoples_that_failed_is_over_once_people_had_it_tried_again() -> None:
    events: list[FulfilmentEvent] = [*OVER, *GIVEN_UP, started(*BY_HAND, attempt=2)]
    asked: dict[str, Any] = {"failures": {"manual/1": 1}, "refunding": {"manual/1": 20}}
    assert look_at_refund(events, **asked) == Reaction()
    failing = {"in_vain": {"manual/1": 20}, "failures": {"manual/1": 2}}
    assert look_at_refund(events, **failing) == then(
        failed(Step.REFUND, "failed", "manual/1", attempt=2),
        stuck(Step.REFUND, "failed", "manual/1"),
    )
    came: dict[str, Any] = {"failures": {"manual/1": 1}, "refunds": {"manual/1": 20}}
    assert look_at_refund(events, **came) == then(done(*BY_HAND, attempt=2))


def test_a_refund_of_peoples_that_failed_is_over_once_they_skip_it_or_the_money_is_gone() -> None:
    failing: dict[str, Any] = {"in_vain": {"manual/1": 20}, "failures": {"manual/1": 1}}
    skipped = skip(saga(*OVER, *GIVEN_UP), *BY_HAND, reason="paid in cash", payment=NOTHING)
    assert look_at_refund([*OVER, *GIVEN_UP, *skipped], **failing) == Reaction()
    gone = look_at_refund([*OVER, *GIVEN_UP], **failing, charged_back_minor=481)
    assert gone == then(failed(Step.REFUND, "called_off", "manual/1"))


def test_a_refund_of_peoples_that_failed_does_not_keep_an_order_from_completing() -> None:
    reaction = look(
        [*SENT],
        here(CONFIRMED),
        allocation=SHIPPED,
        payment=replace(CAPTURED, in_vain={"manual/1": 20}, failures={"manual/1": 1}),
        parcels=(parcel(ParcelStatus.DELIVERED),),
    )
    assert reaction.order == (OrderCompleted(ORDER_ID),)


def test_only_of_peoples_refunds_it_is_told_that_they_came_to_nothing() -> None:
    names = ("manual/1", "manual/2", "surplus/1")
    asked = [event for name in names for event in refund(name, 20)]
    failures = [RefundFailed(ORDER_ID, name, "no") for name in ("manual/1", "surplus/1")]
    payment = after([*AUTHORIZED, *capture("p1", 100), *asked, *failures])
    facts = facts_of(allocation=None, payment=payment, shipments=None, returns=None)
    assert facts.payment.in_vain == {"manual/1": 20}
