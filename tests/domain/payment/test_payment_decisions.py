"""What may be asked of a payment provider, and when."""

from functools import partial

import msgspec
import pytest

from domain.money import LARGEST_AMOUNT_MINOR, Currency
from domain.payment import decisions
from domain.payment.events import (
    ChargebackReceived,
    PaymentAuthorized,
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
from domain.payment.state import Payment, Transfer
from domain.payment.status import PaymentStatus, payment_status
from tests.domain.payment.payments import (
    AUTHORIZED,
    CLOSED,
    CLOSING,
    GBP,
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


def authorize(
    payment: Payment | None, attempt: int = 1, amount_minor: int = 100
) -> tuple[PaymentEvent, ...]:
    return decisions.request_authorization(
        payment,
        order_id=ORDER_ID,
        attempt=attempt,
        amount_minor=amount_minor,
        currency=GBP,
        provider="sandbox",
    )


def void(payment: Payment | None) -> tuple[PaymentEvent, ...]:
    return decisions.request_void(payment, order_id=ORDER_ID)


def give_back(
    payment: Payment | None, amount_minor: int = 60, refund_id: str = "r1"
) -> tuple[PaymentEvent, ...]:
    return decisions.request_refund(
        payment, refund_id=refund_id, amount_minor=amount_minor, currency=GBP, reason="x"
    )


def take(payment: Payment, amount_minor: int = 60) -> tuple[PaymentEvent, ...]:
    return decisions.request_capture(payment, capture_id="p1", amount_minor=amount_minor)


def test_the_first_attempt_is_asked_for_once() -> None:
    assert authorize(None) == (asked(),)
    assert authorize(given(asked())) == ()
    assert authorize(given(*AUTHORIZED)) == ()


def test_another_attempt_is_asked_for_only_after_the_last_one_failed() -> None:
    assert authorize(given(asked(), declined()), attempt=2) == (asked(2),)
    for payment in (given(asked()), given(*AUTHORIZED)):
        assert refused(partial(authorize, payment, attempt=2)).code == "illegal_transition"


def test_attempts_are_not_skipped() -> None:
    for payment in (None, given(asked(), declined())):
        assert refused(partial(authorize, payment, attempt=3)).code == "illegal_transition"


def test_a_closed_payment_is_not_authorized() -> None:
    assert authorize(after(void(None))) == ()
    assert authorize(given(asked(), declined(), CLOSING), attempt=2) == ()


def test_a_free_order_is_authorized_and_captured_without_asking_anybody() -> None:
    events = authorize(None, amount_minor=0)
    assert events == (asked(amount_minor=0), PaymentAuthorized(ORDER_ID, 1, 0, ""))
    taken = take(after(events), 0)
    assert taken == capture("p1", 0)
    assert void(after([*events, *taken])) == (CLOSING, PaymentVoided(ORDER_ID, 0))


@pytest.mark.parametrize("amount_minor", [-1, LARGEST_AMOUNT_MINOR + 1])
def test_amounts_are_neither_negative_nor_huge(amount_minor: int) -> None:
    payment = given(*AUTHORIZED, *capture("p0", 10))
    for error in (
        refused(lambda: authorize(None, amount_minor=amount_minor)),
        refused(lambda: take(payment, amount_minor)),
        refused(lambda: give_back(payment, amount_minor)),
    ):
        assert (error.code, error.field) == ("amount_out_of_range", "/amount_minor")


def test_a_parcel_is_captured_once() -> None:
    assert take(given(*AUTHORIZED)) == (PaymentCaptureRequested(ORDER_ID, "p1", 60),)
    assert take(given(*AUTHORIZED, *take(given(*AUTHORIZED)))) == ()
    assert take(given(*AUTHORIZED, *capture("p1", 60))) == ()


def test_a_failed_capture_is_asked_for_again() -> None:
    events = [
        *AUTHORIZED,
        *take(given(*AUTHORIZED)),
        PaymentCaptureFailed(ORDER_ID, "p1", "", final=False),
    ]
    again = take(after(events))
    assert again == (PaymentCaptureRequested(ORDER_ID, "p1", 60),)
    assert after([*events, *again]).captures["p1"].tries == 2


def test_captures_done_and_under_way_are_never_above_what_was_authorized() -> None:
    for events in (
        capture("p0", 41),
        (PaymentCaptureRequested(ORDER_ID, "p0", 41),),
    ):
        payment = given(*AUTHORIZED, *events)
        error = refused(partial(take, payment, 60))
        assert (error.code, error.extra) == ("capture_above_authorized", {"capturable_minor": 59})
        assert take(payment, 59)


def test_a_capture_does_not_change_its_amount() -> None:
    payment = given(*AUTHORIZED, *capture("p1", 60))
    assert refused(lambda: take(payment, 61)).code == "capture_changed"


@pytest.mark.parametrize(
    "events",
    [(asked(),), (asked(), declined()), (*AUTHORIZED, CLOSING)],
)
def test_only_money_that_is_held_is_captured(events: tuple[PaymentEvent, ...]) -> None:
    error = refused(lambda: take(after(events)))
    assert error.code == "illegal_transition"
    assert error.extra == {"payment_status": payment_status(after(events))}


def test_what_the_provider_has_let_go_of_is_refused_for_good() -> None:
    requested, failed = take(after((*AUTHORIZED, CLOSED)))
    assert isinstance(requested, PaymentCaptureRequested)
    assert isinstance(failed, PaymentCaptureFailed)
    assert failed.final
    assert after((*AUTHORIZED, CLOSED, requested, failed)).captures["p1"].refused


@pytest.mark.parametrize("later", [(), (CLOSING,), (CLOSED,), (CLOSING, CLOSED)])
def test_a_parcel_of_gifts_is_settled_whatever_became_of_the_money(
    later: tuple[PaymentEvent, ...],
) -> None:
    events = (*AUTHORIZED, *later)
    taken = take(after(events), 0)
    assert taken == capture("p1", 0)
    assert take(after((*events, *taken)), 0) == ()
    assert after((*events, *taken)).capturable_minor == after(events).capturable_minor


def test_nothing_is_settled_before_it_was_authorized() -> None:
    for events in ((asked(),), (asked(), declined())):
        assert refused(partial(take, after(events), 0)).code == "illegal_transition"


def test_what_is_held_is_voided_once() -> None:
    assert void(given(*AUTHORIZED)) == (CLOSING,)
    assert void(given(*AUTHORIZED, CLOSING)) == ()
    assert void(given(*AUTHORIZED, CLOSING, CLOSED)) == ()


def test_an_attempt_of_unknown_outcome_is_voided_by_asking_the_provider() -> None:
    assert void(given(asked())) == (CLOSING,)


@pytest.mark.parametrize(
    "events", [None, (asked(), declined()), (*AUTHORIZED, *capture("p1", 100))]
)
def test_where_nothing_is_held_the_void_is_done_at_once(
    events: tuple[PaymentEvent, ...] | None,
) -> None:
    payment = None if events is None else after(events)
    assert void(payment) == (CLOSING, PaymentVoided(ORDER_ID, 0))


def test_captured_money_is_not_voided_only_the_rest_is() -> None:
    events = (*AUTHORIZED, *capture("p1", 60), CLOSING, PaymentVoided(ORDER_ID, 40))
    payment = after(events)
    assert (payment.captured_minor, payment.refundable_minor) == (60, 60)
    assert payment_status(payment) is PaymentStatus.PAID


def test_nothing_is_voided_while_a_parcel_is_being_captured() -> None:
    payment = given(*AUTHORIZED, PaymentCaptureRequested(ORDER_ID, "p1", 60))
    assert refused(lambda: void(payment)).code == "illegal_transition"


def test_captured_money_is_refunded_once() -> None:
    paid = (*AUTHORIZED, *capture("p1", 100))
    assert give_back(after(paid)) == (RefundRequested(ORDER_ID, "r1", 60, "x"),)
    assert give_back(given(*paid, RefundRequested(ORDER_ID, "r1", 60, "x"))) == ()
    assert give_back(given(*paid, *refund("r1", 60))) == ()


@pytest.mark.parametrize(
    "events",
    [
        refund("r0", 41),
        (RefundRequested(ORDER_ID, "r0", 41, "x"),),
        (ChargebackReceived(ORDER_ID, "d1", 41),),
    ],
)
def test_refunds_are_never_above_what_was_captured(events: tuple[PaymentEvent, ...]) -> None:
    payment = given(*AUTHORIZED, *capture("p1", 100), *events)
    error = refused(lambda: give_back(payment, 60))
    assert (error.code, error.field) == ("refund_above_captured", "/amount_minor")
    assert error.extra == {"refundable_minor": 59}
    assert give_back(payment, 59)


@pytest.mark.parametrize(
    ("later", "left_minor"),
    [
        ((), 60),
        ((RefundRequested(ORDER_ID, "receipt", 40, "x"),), 60),
        (refund("receipt", 40), 60),
        ((*refund("receipt", 40), RefundFailed(ORDER_ID, "receipt", "")), 60),
        (refund("another", 10), 50),
    ],
)
def test_what_is_promised_for_a_return_is_not_given_back_by_hand(
    later: tuple[PaymentEvent, ...], left_minor: int
) -> None:
    payment = given(*AUTHORIZED, *capture("p1", 100), *later)
    by_hand = partial(
        decisions.request_refund,
        payment,
        refund_id="manual",
        currency=GBP,
        reason="x",
        promised={"receipt": 40},
    )
    assert by_hand(amount_minor=left_minor)
    error = refused(lambda: by_hand(amount_minor=left_minor + 1))
    assert error.extra == {"refundable_minor": left_minor}


def test_money_that_was_only_authorized_is_not_refunded() -> None:
    for payment in (None, given(*AUTHORIZED)):
        assert refused(partial(give_back, payment)).code == "refund_above_captured"


def test_a_failed_refund_is_asked_for_again() -> None:
    events = [*AUTHORIZED, *capture("p1", 100), *refund("r1", 60)]
    again = give_back(after([*events, RefundFailed(ORDER_ID, "r1", "")]))
    assert again == (RefundRequested(ORDER_ID, "r1", 60, "x"),)


def test_a_failed_refund_is_asked_for_again_of_what_is_left_by_then() -> None:
    gone = (RefundFailed(ORDER_ID, "r1", ""), ChargebackReceived(ORDER_ID, "d1", 70))
    events = [*AUTHORIZED, *capture("p1", 100), *refund("r1", 60), *gone]
    again = give_back(after(events), 30)
    assert again == (RefundRequested(ORDER_ID, "r1", 30, "x"),)
    payment = given(*events, *again)
    assert payment.refunds["r1"] == Transfer(30, tries=2)


@pytest.mark.parametrize("known", [1, 2])
def test_a_refund_that_has_not_failed_does_not_change_its_amount(known: int) -> None:
    payment = given(*AUTHORIZED, *capture("p1", 100), *refund("r1", 60)[:known])
    assert refused(lambda: give_back(payment, 30)).code == "refund_changed"


def test_a_refund_is_in_the_currency_of_the_payment() -> None:
    error = refused(
        lambda: decisions.request_refund(
            given(*AUTHORIZED),
            refund_id="r1",
            amount_minor=1,
            currency=Currency("EUR"),
            reason="x",
        )
    )
    assert (error.code, error.field) == ("currency_mismatch", "/currency")


def test_a_refund_of_nothing_asks_nobody() -> None:
    assert give_back(given(*AUTHORIZED), 0) == (
        RefundRequested(ORDER_ID, "r1", 0, "x"),
        PaymentRefunded(ORDER_ID, "r1", 0),
    )


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ((asked(),), "none"),
        (AUTHORIZED, "authorized"),
        ((asked(), declined()), "failed"),
        ((asked(), declined(), asked(2)), "none"),
        ((asked(), declined(), CLOSING, PaymentVoided(ORDER_ID, 0)), "failed"),
        ((CLOSING, PaymentVoided(ORDER_ID, 0)), "voided"),
        ((*AUTHORIZED, CLOSING), "authorized"),
        ((*AUTHORIZED, CLOSING, CLOSED), "voided"),
        ((*AUTHORIZED, *capture("p1", 60)), "partially_paid"),
        ((*AUTHORIZED, *capture("p1", 60), *capture("p2", 40)), "paid"),
        ((*AUTHORIZED, *capture("p1", 60), *refund("r1", 1)), "partially_refunded"),
        ((*AUTHORIZED, *capture("p1", 60), *refund("r1", 60)), "refunded"),
        ((*AUTHORIZED, *capture("p1", 60), ChargebackReceived(ORDER_ID, "d", 60)), "refunded"),
        ((asked(amount_minor=0), held(amount_minor=0)), "paid"),
    ],
)
def test_the_payment_status_is_derived(events: tuple[PaymentEvent, ...], status: str) -> None:
    assert payment_status(after(events), owed_minor=100) == status
    assert payment_status(None, owed_minor=100) == "none"


@pytest.mark.parametrize(
    ("owed_minor", "status"), [(100, "partially_paid"), (61, "partially_paid"), (60, "paid")]
)
def test_where_the_rest_was_let_go_of_it_is_paid_if_no_more_is_owed(
    owed_minor: int, status: str
) -> None:
    payment = given(*AUTHORIZED, *capture("p1", 60), PaymentVoided(ORDER_ID, 40))
    assert payment_status(payment, owed_minor=owed_minor) == status


def test_the_state_survives_a_snapshot() -> None:
    payment = given(
        *AUTHORIZED,
        *capture("p1", 60),
        PaymentCaptured(ORDER_ID, "p1", 60),
        *refund("r1", 10),
        PaymentVoidRequested(ORDER_ID),
        ChargebackReceived(ORDER_ID, "d", 5),
    )
    kept = msgspec.json.encode(payment, enc_hook=dict)
    assert msgspec.json.decode(kept, type=Payment) == payment
