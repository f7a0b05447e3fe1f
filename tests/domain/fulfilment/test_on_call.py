"""Timers, people on call, and what an order says that it waits for."""

import msgspec
import pytest

from domain.fulfilment import on_call
from domain.fulfilment.events import (
    FulfilmentCompensating,
    FulfilmentEvent,
    FulfilmentStepSkipped,
    Step,
)
from domain.fulfilment.facts import ParcelStatus, PaymentFacts
from domain.fulfilment.state import Fulfilment, evolve
from domain.fulfilment.waiting import Waiting, next_timer, waiting_for
from domain.order.events import OrderCompleted
from tests.domain.fulfilment.scenes import (
    AUTHORIZED,
    COMMITTED,
    CONFIRMED,
    NOTHING,
    NOW,
    RESERVED,
    RESERVING,
    SENT,
    SHIPPED,
    SHIPPING,
    TIMING,
    done,
    failed,
    look,
    parcel,
    saga,
    seconds,
    started,
    stuck,
    timed_out,
)
from tests.domain.orders import ORDER_ID, here, refused

EARLY, LATE = seconds(-1), seconds(3600)
PAYING: tuple[FulfilmentEvent, ...] = (
    *RESERVING[:1],
    started(Step.RESERVE, due_at=seconds(1200)),
    done(Step.RESERVE),
    started(Step.AUTHORIZE, due_at=seconds(30)),
)


def test_a_step_times_out_once_and_not_before_it_is_due() -> None:
    assert on_call.time_out(saga(*RESERVING), now=EARLY) == ()
    assert on_call.time_out(saga(*RESERVING), now=NOW) == (timed_out(Step.RESERVE),)
    assert on_call.time_out(saga(*RESERVING, timed_out(Step.RESERVE)), now=LATE) == ()


@pytest.mark.parametrize(
    "later",
    [
        done(Step.SHIP),
        failed(Step.SHIP, "called_off"),
        stuck(Step.SHIP, "returned_to_sender"),
        FulfilmentStepSkipped(ORDER_ID, Step.SHIP, "", "x"),
    ],
)
def test_a_saga_that_has_moved_on_ignores_its_timer(later: FulfilmentEvent) -> None:
    assert on_call.time_out(saga(*SHIPPING, later), now=LATE) == ()
    assert next_timer(saga(*SHIPPING, later)) is None


def test_a_pause_ends_by_its_timer() -> None:
    paused = saga(*PAYING, failed(Step.AUTHORIZE, "card_declined", retry_at=seconds(60)))
    assert next_timer(paused) == seconds(60)
    assert on_call.time_out(paused, now=seconds(60)) == (timed_out(Step.AUTHORIZE),)


def test_the_reservation_runs_on_while_the_payment_is_waited_for() -> None:
    paying = saga(*PAYING, timed_out(Step.AUTHORIZE))
    assert next_timer(paying) == seconds(1200)
    assert on_call.time_out(paying, now=seconds(1200)) == (timed_out(Step.RESERVE),)


@pytest.mark.parametrize(
    "later",
    [done(Step.AUTHORIZE), FulfilmentCompensating(ORDER_ID, "cancelled", "x")],
)
def test_the_reservation_has_no_timer_once_it_is_paid_or_given_back(
    later: FulfilmentEvent,
) -> None:
    after = saga(*PAYING, timed_out(Step.AUTHORIZE), later)
    assert next_timer(after) is None


def test_the_next_timer_is_the_soonest() -> None:
    assert next_timer(saga(*PAYING)) == seconds(30)


def retry(given: Fulfilment, step: Step, subject: str = "") -> tuple[FulfilmentEvent, ...]:
    return on_call.retry(given, step, subject, now=NOW, timing=TIMING)


def test_a_stuck_step_that_failed_is_retried_with_a_new_attempt() -> None:
    given = saga(*SENT, failed(Step.CAPTURE, "refused", "p1"), stuck(Step.CAPTURE, "refused", "p1"))
    due_at = seconds(TIMING.answer_s)
    assert retry(given, Step.CAPTURE, "p1") == (started(Step.CAPTURE, "p1", 2, due_at),)


@pytest.mark.parametrize(
    ("step", "reason", "due_s"),
    [(Step.CAPTURE, "no_answer", TIMING.answer_s), (Step.DELIVER, "no_scan", TIMING.deliver_s)],
)
def test_a_stuck_step_that_nobody_answered_is_asked_about_with_the_same_attempt(
    step: Step, reason: str, due_s: int
) -> None:
    given = saga(*SENT, stuck(step, reason, "p1"))
    assert retry(given, step, "p1") == (started(step, "p1", 1, seconds(due_s)),)


def test_a_step_that_waits_for_its_next_try_is_tried_now() -> None:
    given = saga(*SENT, failed(Step.CAPTURE, "failed", "p1", retry_at=seconds(3_600)))
    due_at = seconds(TIMING.answer_s)
    assert retry(given, Step.CAPTURE, "p1") == (started(Step.CAPTURE, "p1", 2, due_at),)
    skip = refused(lambda: on_call.skip(given, Step.CAPTURE, "p1", reason="x", payment=NOTHING))
    assert skip.code == "step_not_stuck"


def test_a_parcel_that_came_back_is_sent_again_and_not_retried() -> None:
    given = saga(*SHIPPING, stuck(Step.SHIP, "returned_to_sender"))
    error = refused(lambda: retry(given, Step.SHIP))
    assert error.code == "nothing_to_retry"
    assert "pack another one and hand it over, or cancel the lines" in error.detail


def test_what_goes_on_by_itself_is_neither_retried_nor_skipped() -> None:
    assert refused(lambda: retry(saga(*SENT), Step.VOID)).code == "unknown_step"
    assert refused(lambda: retry(saga(*SENT), Step.CAPTURE, "p1")).code == "step_not_stuck"
    skip = refused(
        lambda: on_call.skip(saga(*SENT), Step.CAPTURE, "p1", reason="x", payment=NOTHING)
    )
    assert skip.code == "step_not_stuck"


def test_what_secures_stock_and_money_is_not_skipped() -> None:
    given = saga(*SHIPPING, stuck(Step.COMMIT, "no_answer"))
    error = refused(lambda: on_call.skip(given, Step.COMMIT, "", reason="x", payment=NOTHING))
    assert error.code == "step_not_skippable"


def test_sending_is_not_skipped_but_canceled() -> None:
    given = saga(*SHIPPING, stuck(Step.SHIP, "returned_to_sender"))
    error = refused(lambda: on_call.skip(given, Step.SHIP, "", reason="x", payment=NOTHING))
    assert (error.code, error.detail) == (
        "step_not_skippable",
        "cancel the pieces that are not to be sent",
    )


@pytest.mark.parametrize(
    ("step", "payment"),
    [
        (Step.CAPTURE, PaymentFacts(capturing={"p1": 500})),
        (Step.REFUND, PaymentFacts(refunding={"p1": 500})),
    ],
)
def test_what_the_provider_may_do_yet_is_not_skipped_until_its_outcome_is_known(
    step: Step, payment: PaymentFacts
) -> None:
    given = saga(*SHIPPING, started(step, "p1"), stuck(step, "no_answer", "p1"))
    error = refused(lambda: on_call.skip(given, step, "p1", reason="cash", payment=payment))
    assert error.code == "step_not_skippable"
    assert "`saga retry` asks the provider" in error.detail
    [skipped] = on_call.skip(given, step, "p1", reason="cash", payment=NOTHING)
    assert skipped == FulfilmentStepSkipped(ORDER_ID, step, "p1", "cash")


def test_an_order_completes_without_the_capture_that_was_skipped() -> None:
    events: list[FulfilmentEvent] = [
        *SENT,
        stuck(Step.CAPTURE, "refused", "p1"),
        done(Step.DELIVER, "p1"),
    ]
    events += on_call.skip(saga(*events), Step.CAPTURE, "p1", reason="written off", payment=NOTHING)
    voided = PaymentFacts(attempt=1, authorized=True, voided=True)
    reaction = look(
        events,
        here(CONFIRMED),
        allocation=SHIPPED,
        payment=voided,
        parcels=(parcel(ParcelStatus.DELIVERED),),
    )
    assert reaction.order == (OrderCompleted(ORDER_ID),)


def test_a_lost_parcel_that_was_skipped_is_waited_for_no_more() -> None:
    events: list[FulfilmentEvent] = [
        *SENT,
        done(Step.CAPTURE, "p1"),
        stuck(Step.DELIVER, "no_scan", "p1"),
    ]
    events += on_call.skip(saga(*events), Step.DELIVER, "p1", reason="lost", payment=NOTHING)
    paid = PaymentFacts(attempt=1, authorized=True, captures={"p1": 500})
    reaction = look(events, here(CONFIRMED), allocation=SHIPPED, payment=paid, parcels=(parcel(),))
    assert reaction.order == (OrderCompleted(ORDER_ID),)


def test_an_order_tells_what_it_waits_for_and_until_when() -> None:
    assert waiting_for(saga(*PAYING)) == (
        Waiting("the payment", Step.AUTHORIZE, "", 1, seconds(1200), None),
    )
    assert waiting_for(saga(*PAYING, done(Step.AUTHORIZE))) == ()


def test_what_is_stuck_is_told_first_and_then_the_soonest() -> None:
    events: list[FulfilmentEvent] = [
        *SHIPPING,
        started(Step.DELIVER, "p1", due_at=seconds(600)),
        started(Step.CAPTURE, "p1", due_at=seconds(30)),
        started(Step.CAPTURE, "p2"),
        stuck(Step.CAPTURE, "refused", "p2"),
    ]
    told = [(one.step, one.subject, one.stuck) for one in waiting_for(saga(*events))]
    assert told == [
        (Step.CAPTURE, "p2", "refused"),
        (Step.SHIP, "", None),
        (Step.CAPTURE, "p1", None),
        (Step.DELIVER, "p1", None),
    ]


def test_a_snapshot_gives_the_same_state() -> None:
    for given in (saga(*PAYING, timed_out(Step.AUTHORIZE)), saga(*SENT)):
        assert msgspec.json.decode(msgspec.json.encode(given), type=Fulfilment) == given


def test_a_stream_that_does_not_begin_with_its_start_is_a_crash() -> None:
    with pytest.raises(AssertionError):
        evolve(None, done(Step.SHIP))
    with pytest.raises(AssertionError):
        evolve(saga(*RESERVING), done(Step.SHIP))


def test_a_merchant_who_is_late_is_late_and_not_stuck() -> None:
    events: list[FulfilmentEvent] = [*SHIPPING, timed_out(Step.SHIP)]
    reaction = look(events, here(CONFIRMED), allocation=COMMITTED, payment=AUTHORIZED)
    assert not reaction


def test_a_reaction_that_says_nothing_is_false() -> None:
    assert not look(RESERVING)
    assert look(RESERVING, allocation=RESERVED)
