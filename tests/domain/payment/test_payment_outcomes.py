"""What a provider says comes late, twice and out of order, and is booked once."""

from functools import partial

import pytest

from domain.payment import outcomes
from domain.payment.events import (
    ChargebackReceived,
    DeclineCode,
    PaymentActionRequired,
    PaymentAuthorizationFailed,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentCaptureRequested,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    PaymentVoidRequested,
    RefundFailed,
    RefundRequested,
)
from domain.payment.state import Payment
from tests.domain.payment.payments import (
    AUTHORIZED,
    CLOSED,
    CLOSING,
    ORDER_ID,
    after,
    asked,
    capture,
    declined,
    given,
    held,
    refund,
    refused,
)

ACTION = PaymentActionRequired(ORDER_ID, 1, "ref-1", "https://bank.example/1")
ASKED_CAPTURE = PaymentCaptureRequested(ORDER_ID, "p1", 60)
FAILED_CAPTURE = PaymentCaptureFailed(ORDER_ID, "p1", "no", final=False)
ASKED_REFUND = RefundRequested(ORDER_ID, "r1", 60, "x")
PAID = (*AUTHORIZED, *capture("p1", 100))


def authorized(payment: Payment, attempt: int = 1, amount: int = 100) -> tuple[PaymentEvent, ...]:
    return outcomes.authorized(
        payment, attempt=attempt, amount_minor=amount, reference=f"ref-{attempt}"
    )


def failed(payment: Payment) -> tuple[PaymentEvent, ...]:
    return outcomes.authorization_failed(
        payment, attempt=1, decline_code=DeclineCode.CARD_DECLINED, detail="no"
    )


def action(payment: Payment) -> tuple[PaymentEvent, ...]:
    return outcomes.action_required(
        payment, attempt=1, reference="ref-1", action_url="https://bank.example/1"
    )


def captured(payment: Payment, amount_minor: int = 60) -> tuple[PaymentEvent, ...]:
    return outcomes.captured(payment, capture_id="p1", amount_minor=amount_minor)


def capture_failed(payment: Payment, try_number: int = 1) -> tuple[PaymentEvent, ...]:
    return outcomes.capture_failed(
        payment, capture_id="p1", try_number=try_number, detail="no", final=False
    )


def refunded(payment: Payment, try_number: int = 1) -> tuple[PaymentEvent, ...]:
    return outcomes.refunded(payment, refund_id="r1", try_number=try_number, amount_minor=60)


def refund_failed(payment: Payment, try_number: int = 1) -> tuple[PaymentEvent, ...]:
    return outcomes.refund_failed(payment, refund_id="r1", try_number=try_number, detail="no")


@pytest.mark.parametrize("before", [(asked(),), (asked(), ACTION), (asked(), declined())])
def test_an_authorization_counts_even_after_a_failure(before: tuple[PaymentEvent, ...]) -> None:
    assert authorized(after(before)) == (held(),)
    assert after([*before, held()]).authorized_minor == 100


@pytest.mark.parametrize("later", [(), (CLOSING,), (CLOSING, CLOSED), capture("p1", 60)])
def test_an_authorization_counts_once(later: tuple[PaymentEvent, ...]) -> None:
    assert authorized(given(*AUTHORIZED, *later)) == ()


@pytest.mark.parametrize("closed", [(CLOSING,), (CLOSING, PaymentVoided(ORDER_ID, 0))])
def test_an_authorization_of_a_closed_payment_is_voided(closed: tuple[PaymentEvent, ...]) -> None:
    before = (asked(), *closed)
    events = authorized(after(before))
    assert events == (held(), PaymentVoidRequested(ORDER_ID, 1))
    late = after([*before, *events])
    assert (late.strays, late.authorized_minor) == ((1,), 0)
    assert outcomes.voided(late, attempt=1) == (PaymentVoided(ORDER_ID, 100, 1),)
    done = after([*before, *events, PaymentVoided(ORDER_ID, 100, 1)])
    assert done.strays == ()
    assert outcomes.voided(done, attempt=1) == ()


def test_a_second_authorization_is_voided_and_the_first_one_stays() -> None:
    before = (asked(1), declined(1), asked(2), held(2))
    events = authorized(after(before), attempt=1)
    assert events == (held(1), PaymentVoidRequested(ORDER_ID, 1))
    payment = after([*before, *events, PaymentVoided(ORDER_ID, 100, 1)])
    assert (payment.held, payment.capturable_minor, payment.closed) == (2, 100, False)


def test_a_customer_is_asked_to_act_only_before_anything_else_is_known() -> None:
    assert action(given(asked())) == (ACTION,)
    for later in (ACTION, held(), declined()):
        assert action(given(asked(), later)) == ()


def test_a_decline_is_recorded_once_and_undoes_no_authorization() -> None:
    for before in ((asked(),), (asked(), ACTION)):
        assert failed(after(before)) == (declined(),)
    for later in (held(), declined()):
        assert failed(given(asked(), later)) == ()


def test_a_capture_counts_once_even_after_a_failure() -> None:
    for before in ((), (FAILED_CAPTURE,)):
        assert captured(given(*AUTHORIZED, ASKED_CAPTURE, *before)) == (
            PaymentCaptured(ORDER_ID, "p1", 60),
        )
    assert captured(given(*AUTHORIZED, *capture("p1", 60))) == ()


def test_a_capture_fails_once_and_never_after_it_was_done() -> None:
    assert capture_failed(given(*AUTHORIZED, ASKED_CAPTURE)) == (FAILED_CAPTURE,)
    assert capture_failed(given(*AUTHORIZED, ASKED_CAPTURE, FAILED_CAPTURE)) == ()
    assert capture_failed(given(*AUTHORIZED, *capture("p1", 60))) == ()


def test_an_old_failure_does_not_fail_the_next_try() -> None:
    again = given(*AUTHORIZED, ASKED_CAPTURE, FAILED_CAPTURE, ASKED_CAPTURE)
    assert capture_failed(again, try_number=1) == ()
    assert capture_failed(again, try_number=2) == (FAILED_CAPTURE,)


def test_a_total_tells_of_the_captures_under_way_where_all_of_them_explain_it() -> None:
    one = given(*AUTHORIZED, *capture("p0", 10), ASKED_CAPTURE)
    assert outcomes.captured_in_total(one, total_minor=70) == (PaymentCaptured(ORDER_ID, "p1", 60),)
    assert outcomes.captured_in_total(one, total_minor=10) == ()
    two = given(*AUTHORIZED, ASKED_CAPTURE, PaymentCaptureRequested(ORDER_ID, "p2", 20))
    both = (PaymentCaptured(ORDER_ID, "p1", 60), PaymentCaptured(ORDER_ID, "p2", 20))
    assert outcomes.captured_in_total(two, total_minor=80) == both
    for total_minor in (0, 20, 60, 81):
        assert outcomes.captured_in_total(two, total_minor=total_minor) == ()
    assert outcomes.captured_in_total(given(*AUTHORIZED), total_minor=0) == ()


def test_the_void_of_a_payment_releases_what_was_not_captured() -> None:
    assert outcomes.voided(given(*AUTHORIZED, *capture("p1", 60), CLOSING)) == (
        PaymentVoided(ORDER_ID, 40),
    )
    assert outcomes.voided(given(*AUTHORIZED, CLOSING, CLOSED)) == ()
    assert outcomes.voided(given(*AUTHORIZED, CLOSING, CLOSED), attempt=1) == ()


def test_an_authorization_that_runs_out_closes_the_payment() -> None:
    for attempt in (None, 1):
        assert outcomes.voided(given(*AUTHORIZED), attempt=attempt) == (CLOSED,)
    assert given(*AUTHORIZED, CLOSED).closed


def test_an_attempt_that_runs_out_before_it_was_authorized_has_failed() -> None:
    [event] = outcomes.voided(given(asked(), ACTION), attempt=1)
    assert isinstance(event, PaymentAuthorizationFailed)
    assert event.decline_code is DeclineCode.ACTION_NOT_TAKEN


def test_a_refund_counts_once() -> None:
    assert refunded(given(*PAID, ASKED_REFUND)) == (PaymentRefunded(ORDER_ID, "r1", 60),)
    assert refunded(given(*PAID, *refund("r1", 60))) == ()


def test_a_refund_that_the_bank_sends_back_is_ours_again() -> None:
    assert refund_failed(given(*PAID, *refund("r1", 60))) == (RefundFailed(ORDER_ID, "r1", "no"),)
    back = given(*PAID, *refund("r1", 60), RefundFailed(ORDER_ID, "r1", "no"))
    assert back.refundable_minor == 100
    assert refund_failed(back) == ()
    assert refunded(back) == ()


def test_an_old_refund_does_not_answer_the_next_try() -> None:
    again = given(*PAID, *refund("r1", 60), RefundFailed(ORDER_ID, "r1", "no"), ASKED_REFUND)
    assert refunded(again, try_number=1) == ()
    assert refund_failed(again, try_number=1) == ()
    assert refunded(again, try_number=2) == (PaymentRefunded(ORDER_ID, "r1", 60),)
    less = RefundRequested(ORDER_ID, "r1", 30, "x")
    again = given(*PAID, *refund("r1", 60), RefundFailed(ORDER_ID, "r1", "no"), less)
    assert refunded(again, try_number=1) == ()


def test_a_chargeback_counts_once_per_dispute() -> None:
    paid = after(PAID)
    event = ChargebackReceived(ORDER_ID, "d1", 30)
    assert outcomes.charged_back(paid, dispute_id="d1", amount_minor=30) == (event,)
    assert outcomes.charged_back(given(*PAID, event), dispute_id="d1", amount_minor=30) == ()


@pytest.mark.parametrize("amount_minor", [-5, 0, 71, 10**17])
def test_no_bank_takes_back_what_was_not_captured(amount_minor: int) -> None:
    disputed = given(*PAID, ChargebackReceived(ORDER_ID, "d1", 30))
    for payment in (disputed, given(*AUTHORIZED)):
        taken = partial(outcomes.charged_back, payment, dispute_id="d2", amount_minor=amount_minor)
        assert refused(taken).code == "provider_disagrees"
    assert outcomes.charged_back(disputed, dispute_id="d2", amount_minor=70)


def test_answers_to_what_nobody_asked_are_never_booked() -> None:
    payment = given(*AUTHORIZED, ASKED_CAPTURE, ASKED_REFUND)
    for answer in (
        lambda: authorized(payment, attempt=2),
        lambda: authorized(given(asked()), amount=99),
        lambda: captured(payment, amount_minor=61),
        lambda: outcomes.captured(payment, capture_id="p9", amount_minor=1),
        lambda: outcomes.refund_failed(payment, refund_id="r9", try_number=1, detail=""),
        lambda: outcomes.voided(payment),
        lambda: outcomes.voided(payment, attempt=9),
    ):
        assert refused(answer).code == "provider_disagrees"


def test_an_answer_before_its_question_is_a_crash() -> None:
    with pytest.raises(KeyError):
        given(held())
