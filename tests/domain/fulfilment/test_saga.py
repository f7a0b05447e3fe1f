"""The saga's table, row by row: given where everything stands, then what is missing next."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from domain.fulfilment.events import (
    FulfilmentCompensating,
    FulfilmentCompleted,
    FulfilmentEvent,
    FulfilmentFailed,
    FulfilmentStarted,
    Step,
)
from domain.fulfilment.facts import AllocationFacts, Facts, ParcelStatus, PaymentFacts
from domain.fulfilment.on_call import skip
from domain.fulfilment.saga import Reaction
from domain.fulfilment.standing import to_receive
from domain.ids import ShipmentId, Sku
from domain.order.events import (
    CancelledLine,
    HoldReason,
    OrderCancellationRequested,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderHeld,
    OrderHoldReleased,
    OrderLinesCancelled,
    OrderRejected,
    PaymentMethod,
)
from domain.payment.events import DeclineCode
from domain.returns.events import ReturnRefunded
from domain.shipment.events import ShipmentCancelled
from tests.domain.fulfilment.scenes import (
    AUTHORIZED,
    AUTHORIZING,
    CAPTURED,
    COMMITTED,
    COMMITTING,
    CONFIRMED,
    NOTHING,
    NOW,
    RESERVED,
    RESERVING,
    RETURN_ID,
    SENT,
    SHIPPED,
    SHIPPING,
    TIMING,
    done,
    failed,
    look,
    parcel,
    receipt,
    saga,
    seconds,
    started,
    stuck,
    then,
    timed_out,
)
from tests.domain.orders import ORDER_ID, WHY, given, here, line, place

CANCELLING = OrderCancellationRequested(ORDER_ID, "too late", WHY)
CANCELLED = OrderCancelled(ORDER_ID, "as requested", WHY)
ENDED: FulfilmentEvent = FulfilmentFailed(ORDER_ID, "cancelled")


def compensating(outcome: str, reason: str) -> FulfilmentEvent:
    return FulfilmentCompensating(ORDER_ID, outcome, reason)


# Securing stock and money.


def test_first_the_stock_is_asked_for_with_the_reservations_time_to_live() -> None:
    assert look() == then(
        FulfilmentStarted(ORDER_ID, charged=True),
        started(Step.RESERVE, due_at=seconds(TIMING.reserve_s)),
    )


def test_an_order_that_is_fulfilled_elsewhere_has_no_saga() -> None:
    assert look(order=given(place())) == Reaction()


def test_what_is_reserved_is_paid_for_next() -> None:
    assert look(RESERVING, allocation=RESERVED) == then(
        done(Step.RESERVE), started(Step.AUTHORIZE, due_at=seconds(TIMING.answer_s))
    )


def test_short_stock_rejects_the_order_with_the_lines_that_fell_short() -> None:
    assert look(RESERVING, allocation=AllocationFacts(short=(1,))) == then(
        failed(Step.RESERVE, "short_stock"),
        FulfilmentFailed(ORDER_ID, "rejected"),
        order=[OrderRejected(ORDER_ID, "short_stock", "short_stock", (1,))],
    )


def test_what_is_authorized_is_committed_next() -> None:
    assert look(AUTHORIZING, allocation=RESERVED, payment=AUTHORIZED) == then(
        done(Step.AUTHORIZE), started(Step.COMMIT, due_at=seconds(TIMING.answer_s))
    )


def test_what_is_committed_confirms_the_order_and_waits_for_the_merchant() -> None:
    assert look(COMMITTING, allocation=COMMITTED, payment=AUTHORIZED) == then(
        done(Step.COMMIT),
        started(Step.SHIP, due_at=seconds(TIMING.ship_s)),
        order=[CONFIRMED],
    )


@pytest.mark.parametrize(
    "changes", [{"payment": PaymentMethod.SETTLED_ELSEWHERE}, {"discount_minor": 500}]
)
def test_what_is_settled_elsewhere_or_free_is_committed_without_a_payment(
    changes: dict[str, Any],
) -> None:
    events: list[FulfilmentEvent] = [
        FulfilmentStarted(ORDER_ID, charged=False),
        started(Step.RESERVE),
    ]
    reaction = look(events, here(**changes), allocation=RESERVED)
    assert reaction.fulfilment[1:] == (started(Step.COMMIT, due_at=seconds(TIMING.answer_s)),)


def test_a_soft_decline_is_tried_again_after_a_pause() -> None:
    declined = PaymentFacts(attempt=1, decline=DeclineCode.INSUFFICIENT_FUNDS)
    pause = failed(Step.AUTHORIZE, "insufficient_funds", retry_at=seconds(TIMING.authorize_pause_s))
    facts: dict[str, Any] = {"allocation": RESERVED, "payment": declined}
    assert look(AUTHORIZING, **facts) == then(pause)
    assert look([*AUTHORIZING, pause], **facts) == then()
    assert look([*AUTHORIZING, pause, timed_out(Step.AUTHORIZE)], **facts) == then(
        started(Step.AUTHORIZE, attempt=2, due_at=seconds(TIMING.answer_s))
    )


def test_an_earlier_attempts_decline_is_not_taken_for_the_next_ones() -> None:
    declined = PaymentFacts(attempt=1, decline=DeclineCode.INSUFFICIENT_FUNDS)
    events: list[FulfilmentEvent] = [*AUTHORIZING, started(Step.AUTHORIZE, attempt=2)]
    assert look(events, allocation=RESERVED, payment=declined) == then()


@pytest.mark.parametrize(
    ("attempt", "code", "outcome"),
    [
        (1, DeclineCode.FRAUD, "rejected"),
        (1, DeclineCode.EXPIRED_CARD, "rejected"),
        (3, DeclineCode.CARD_DECLINED, "rejected"),
        (1, DeclineCode.ACTION_NOT_TAKEN, "expired"),
    ],
)
def test_a_final_decline_gives_the_stock_back(
    attempt: int, code: DeclineCode, outcome: str
) -> None:
    events: list[FulfilmentEvent] = [
        *AUTHORIZING,
        *[started(Step.AUTHORIZE, attempt=n) for n in range(2, attempt + 1)],
    ]
    declined = PaymentFacts(attempt=attempt, decline=code)
    assert look(events, allocation=RESERVED, payment=declined) == then(
        failed(Step.AUTHORIZE, code, attempt=attempt),
        compensating(outcome, code),
        started(Step.RELEASE, due_at=seconds(TIMING.answer_s)),
    )


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        ("rejected", OrderRejected(ORDER_ID, "x", "x")),
        ("expired", OrderExpired(ORDER_ID, "x")),
    ],
)
def test_once_all_is_back_the_order_ends_as_the_compensation_said(
    outcome: str, end: OrderRejected | OrderExpired
) -> None:
    events: list[FulfilmentEvent] = [*RESERVING, compensating(outcome, "x"), started(Step.RELEASE)]
    released = AllocationFacts(reserved=True)
    reaction = look(events, allocation=released)
    assert reaction.fulfilment[-2:] == (
        done(Step.RELEASE),
        FulfilmentFailed(ORDER_ID, outcome),
    )
    assert reaction.order == (end,)


def test_an_authorization_without_an_answer_is_asked_about_and_never_made_anew() -> None:
    pending = PaymentFacts(attempt=1, pending=True)
    events: list[FulfilmentEvent] = [*AUTHORIZING, timed_out(Step.AUTHORIZE)]
    again = started(Step.AUTHORIZE, attempt=1, due_at=seconds(2 * TIMING.answer_s))
    assert look(events, allocation=RESERVED, payment=pending) == then(again)


def test_an_authorization_is_asked_about_until_the_reservation_ends_and_never_stuck() -> None:
    pending = PaymentFacts(attempt=1, pending=True)
    asked = [started(Step.AUTHORIZE) for _ in range(TIMING.most_asks)]
    events = [*AUTHORIZING, *asked, timed_out(Step.AUTHORIZE)]
    [again] = look(events, allocation=RESERVED, payment=pending).fulfilment
    assert again == started(Step.AUTHORIZE, due_at=seconds(TIMING.longest_pause_s))


def test_a_reservation_that_ran_out_before_it_was_paid_expires_the_order() -> None:
    pending = PaymentFacts(attempt=1, pending=True)
    events: list[FulfilmentEvent] = [*AUTHORIZING, timed_out(Step.RESERVE)]
    assert look(events, allocation=RESERVED, payment=pending) == then(
        compensating("expired", "reservation_ran_out"),
        failed(Step.AUTHORIZE, "called_off"),
        started(Step.RELEASE, due_at=seconds(TIMING.answer_s)),
    )


def test_a_reservation_that_ran_out_during_a_declined_payments_pause_rejects_it() -> None:
    pause = failed(Step.AUTHORIZE, "card_declined", retry_at=NOW)
    declined = PaymentFacts(attempt=1, decline=DeclineCode.CARD_DECLINED)
    reaction = look(
        [*AUTHORIZING, pause, timed_out(Step.RESERVE)], allocation=RESERVED, payment=declined
    )
    assert reaction.fulfilment[0] == compensating("rejected", "card_declined")


def test_a_payment_just_in_time_wins_over_the_reservations_end() -> None:
    events: list[FulfilmentEvent] = [*AUTHORIZING, timed_out(Step.RESERVE)]
    assert look(events, allocation=RESERVED, payment=AUTHORIZED).fulfilment == (
        done(Step.AUTHORIZE),
        started(Step.COMMIT, due_at=seconds(TIMING.answer_s)),
    )


def test_a_reservation_lost_before_the_commit_is_voided_and_rejected() -> None:
    lost = AllocationFacts(reserved=True)
    assert look(COMMITTING, allocation=lost, payment=AUTHORIZED) == then(
        failed(Step.COMMIT, "reservation_lost"),
        compensating("rejected", "reservation_lost"),
        started(Step.VOID, due_at=seconds(TIMING.answer_s)),
    )


def test_a_reservation_lost_before_the_payment_expires_the_order() -> None:
    declined = PaymentFacts(attempt=1, pending=True)
    lost = AllocationFacts(reserved=True)
    reaction = look(AUTHORIZING, allocation=lost, payment=declined)
    assert reaction.fulfilment[0] == compensating("expired", "reservation_lost")


# Sending.


def test_a_dispatched_parcel_is_captured_and_delivered() -> None:
    assert look(
        SHIPPING,
        here(CONFIRMED),
        allocation=COMMITTED,
        payment=AUTHORIZED,
        parcels=(parcel(quantity=2),),
    ) == then(
        started(Step.CAPTURE, "p1", due_at=seconds(TIMING.answer_s)),
        started(Step.DELIVER, "p1", due_at=seconds(TIMING.deliver_s)),
    )


def test_what_is_only_packed_is_not_captured() -> None:
    packed = parcel(ParcelStatus.PACKED)
    assert (
        look(SHIPPING, here(CONFIRMED), allocation=COMMITTED, payment=AUTHORIZED, parcels=(packed,))
        == then()
    )


def test_with_the_last_piece_dispatched_nothing_is_left_to_ship() -> None:
    reaction = look(
        SHIPPING, here(CONFIRMED), allocation=COMMITTED, payment=AUTHORIZED, parcels=(parcel(),)
    )
    assert reaction.fulfilment[0] == done(Step.SHIP)


def test_a_failed_capture_holds_the_order_and_is_tried_again() -> None:
    declined = replace(AUTHORIZED, failures={"p1": 1})
    facts: dict[str, Any] = {"allocation": SHIPPED, "parcels": (parcel(),)}
    pause = failed(Step.CAPTURE, "failed", "p1", retry_at=seconds(TIMING.retry_pause_s))
    held = OrderHeld(ORDER_ID, HoldReason.CAPTURE_FAILED, None)
    assert look(SENT, here(CONFIRMED), payment=declined, **facts) == then(pause, order=[held])

    events: list[FulfilmentEvent] = [*SENT, pause, timed_out(Step.CAPTURE, "p1")]
    order = here(CONFIRMED, held)
    assert look(events, order, payment=declined, **facts) == then(
        started(Step.CAPTURE, "p1", 2, due_at=seconds(TIMING.answer_s))
    )
    second = started(Step.CAPTURE, "p1", 2)
    assert look([*events, second], order, payment=CAPTURED, **facts) == then(
        done(Step.CAPTURE, "p1", 2), order=[OrderHoldReleased(ORDER_ID, "captured")]
    )


def test_a_hold_that_people_made_is_not_released_by_a_capture() -> None:
    order = here(CONFIRMED, OrderHeld(ORDER_ID, HoldReason.OTHER, "fraud?"))
    reaction = look(SENT, order, allocation=SHIPPED, payment=CAPTURED, parcels=(parcel(),))
    assert reaction == then(done(Step.CAPTURE, "p1"))


def test_an_order_whose_money_was_let_go_of_stays_on_hold() -> None:
    order = here(CONFIRMED, OrderHeld(ORDER_ID, HoldReason.CAPTURE_FAILED, None))
    events = [*SENT, stuck(Step.CAPTURE, "refused", "p1")]
    skipped = [*events, *skip(saga(*events), Step.CAPTURE, "p1", reason="cash", payment=NOTHING)]
    facts: dict[str, Any] = {"allocation": COMMITTED, "parcels": (parcel(quantity=3),)}
    for voided in (False, True):
        payment = replace(AUTHORIZED, held_minor=0 if voided else 500, voided=voided)
        reaction = look(skipped, order, payment=payment, **facts)
        assert bool(reaction.order) is not voided


def test_a_capture_that_failed_for_three_days_is_stuck() -> None:
    failing = replace(AUTHORIZED, failures={"p1": 1})
    long_ago = started(Step.CAPTURE, "p1", due_at=seconds(-TIMING.retry_for_s))
    events: list[FulfilmentEvent] = [
        *SHIPPING,
        long_ago,
        started(Step.DELIVER, "p1"),
        done(Step.SHIP),
    ]
    reaction = look(
        events, here(CONFIRMED), allocation=SHIPPED, payment=failing, parcels=(parcel(),)
    )
    assert reaction.fulfilment == (
        failed(Step.CAPTURE, "failed", "p1"),
        stuck(Step.CAPTURE, "failed", "p1"),
    )


def test_the_three_days_of_a_failing_capture_count_from_its_first_attempt() -> None:
    failing = replace(AUTHORIZED, failures={"p1": 2})
    events = [
        *SHIPPING,
        started(Step.CAPTURE, "p1", due_at=seconds(-TIMING.retry_for_s)),
        failed(Step.CAPTURE, "failed", "p1", retry_at=NOW),
        timed_out(Step.CAPTURE, "p1"),
        started(Step.CAPTURE, "p1", 2, due_at=NOW),
        started(Step.DELIVER, "p1"),
        done(Step.SHIP),
    ]
    reaction = look(
        events, here(CONFIRMED), allocation=SHIPPED, payment=failing, parcels=(parcel(),)
    )
    assert stuck(Step.CAPTURE, "failed", "p1") in reaction.fulfilment


def test_a_refused_capture_is_stuck_at_once() -> None:
    refused = replace(AUTHORIZED, failures={"p1": 1}, refused=frozenset({"p1"}))
    reaction = look(SENT, here(CONFIRMED), allocation=SHIPPED, payment=refused, parcels=(parcel(),))
    assert reaction.fulfilment[1:] == (stuck(Step.CAPTURE, "refused", "p1"),)


def test_a_parcel_without_a_scan_for_a_week_is_stuck() -> None:
    events: list[FulfilmentEvent] = [*SENT, done(Step.CAPTURE, "p1"), timed_out(Step.DELIVER, "p1")]
    facts: dict[str, Any] = {"allocation": SHIPPED, "payment": CAPTURED}
    assert look(events, here(CONFIRMED), parcels=(parcel(),), **facts) == then(
        stuck(Step.DELIVER, "no_scan", "p1")
    )
    heard = parcel(heard_at=seconds(3600))
    on = started(Step.DELIVER, "p1", due_at=seconds(3600 + TIMING.deliver_s))
    assert look(events, here(CONFIRMED), parcels=(heard,), **facts) == then(on)
    events.append(stuck(Step.DELIVER, "no_scan", "p1"))
    assert look(events, here(CONFIRMED), parcels=(heard,), **facts) == then(on)


def test_an_old_scan_does_not_keep_a_parcel_from_being_stuck() -> None:
    events = [*SENT, done(Step.CAPTURE, "p1"), timed_out(Step.DELIVER, "p1")]
    old = parcel(heard_at=seconds(-TIMING.deliver_s))
    assert look(
        events, here(CONFIRMED), allocation=SHIPPED, payment=CAPTURED, parcels=(old,)
    ) == then(stuck(Step.DELIVER, "no_scan", "p1"))


def test_a_parcel_that_people_gave_up_and_that_comes_back_is_told() -> None:
    events = [*SENT, done(Step.CAPTURE, "p1"), stuck(Step.DELIVER, "no_scan", "p1")]
    events += skip(saga(*events), Step.DELIVER, "p1", reason="lost", payment=CAPTURED)
    back = parcel(ParcelStatus.RETURNED, quantity=2)
    facts: dict[str, Any] = {"allocation": COMMITTED, "payment": CAPTURED, "parcels": (back,)}
    assert look(events, here(CONFIRMED), **facts) == then(
        failed(Step.DELIVER, "returned_to_sender", "p1"),
        started(Step.SHIP, attempt=2, due_at=seconds(TIMING.ship_s)),
        stuck(Step.SHIP, "returned_to_sender"),
    )
    over = [*events, FulfilmentCompleted(ORDER_ID)]
    ended = here(CONFIRMED, OrderCompleted(ORDER_ID))
    told = look(over, ended, **facts)
    assert told == then(
        failed(Step.DELIVER, "returned_to_sender", "p1"),
        started(Step.DELIVER, "p1", attempt=2, due_at=None),
        stuck(Step.DELIVER, "returned_to_sender", "p1"),
    )
    over += told.fulfilment
    assert look(over, ended, **facts) == Reaction()
    over += skip(saga(*over), Step.DELIVER, "p1", reason="paid back", payment=CAPTURED)
    assert look(over, ended, **facts) == Reaction()
    shipped = Facts(allocation=SHIPPED, parcels=(back, parcel(quantity=3, name="p2")))
    assert to_receive(ended, shipped) == {1: 2}


def test_a_surplus_that_the_bank_sends_back_after_a_later_one_was_paid_is_paid_again() -> None:
    events: list[FulfilmentEvent] = [
        *SENT,
        done(Step.CAPTURE, "p1"),
        done(Step.DELIVER, "p1"),
    ]
    for refund in ("surplus/1", "surplus/2"):
        events += [started(Step.REFUND, refund), done(Step.REFUND, refund)]
    payment = replace(CAPTURED, captures={"p1": 700}, refunds={"surplus/2": 50})
    delivered = parcel(ParcelStatus.DELIVERED)
    reaction = look(
        events, here(CONFIRMED), allocation=SHIPPED, payment=payment, parcels=(delivered,)
    )
    assert [(one.step, one.subject) for one in reaction.fulfilment] == [  # type: ignore[union-attr]
        (Step.REFUND, "surplus/1")
    ]


def test_a_parcel_that_went_back_is_sent_again_by_people() -> None:
    events: list[FulfilmentEvent] = [*SENT, done(Step.CAPTURE, "p1")]
    back = parcel(ParcelStatus.RETURNED)
    facts: dict[str, Any] = {"allocation": SHIPPED, "payment": CAPTURED}
    noted = look(events, here(CONFIRMED), parcels=(back,), **facts)
    assert noted == then(
        failed(Step.DELIVER, "returned_to_sender", "p1"),
        started(Step.SHIP, attempt=2, due_at=seconds(TIMING.ship_s)),
        stuck(Step.SHIP, "returned_to_sender"),
    )
    again = parcel(name="p2")
    events += noted.fulfilment
    assert look(events, here(CONFIRMED), parcels=(back, again), **facts) == then(
        done(Step.SHIP, attempt=2),
        started(Step.CAPTURE, "p2", due_at=seconds(TIMING.answer_s)),
        started(Step.DELIVER, "p2", due_at=seconds(TIMING.deliver_s)),
    )


def test_a_parcel_that_went_back_before_the_saga_looked_is_noticed_once() -> None:
    """Also where people on call had it retried, which they could at first."""
    back = parcel(ParcelStatus.RETURNED)
    facts: dict[str, Any] = {"allocation": SHIPPED, "payment": AUTHORIZED}
    noted = look(SHIPPING, here(CONFIRMED), parcels=(back,), **facts)
    raised = (
        started(Step.DELIVER, "p1", due_at=seconds(TIMING.deliver_s)),
        failed(Step.DELIVER, "returned_to_sender", "p1"),
        stuck(Step.SHIP, "returned_to_sender"),
    )
    assert noted == then(*raised)
    known = (*SHIPPING, *noted.fulfilment)
    packed = parcel(ParcelStatus.PACKED, name="p2")
    for people_on_call in ((), (started(Step.SHIP),)):
        again = look((*known, *people_on_call), here(CONFIRMED), parcels=(back, packed), **facts)
        assert again == then()


def test_a_parcel_that_was_sent_again_before_the_saga_looked_needs_nobody() -> None:
    parcels = (parcel(ParcelStatus.RETURNED), parcel(name="p2"))
    noted = look(SHIPPING, here(CONFIRMED), allocation=SHIPPED, payment=AUTHORIZED, parcels=parcels)
    assert failed(Step.DELIVER, "returned_to_sender", "p1") in noted.fulfilment
    assert done(Step.SHIP) in noted.fulfilment
    assert stuck(Step.SHIP, "returned_to_sender") not in noted.fulfilment


@pytest.mark.parametrize("status", ParcelStatus)
def test_only_a_parcel_that_can_not_leave_any_more_is_unpacked_by_itself(
    status: ParcelStatus,
) -> None:
    name = UUID(int=9)
    facts: dict[str, Any] = {"allocation": COMMITTED, "payment": AUTHORIZED}
    one = parcel(status, name=str(name))
    assert look(SHIPPING, here(CONFIRMED), parcels=(one,), **facts).shipments == ()
    called_off = here(CONFIRMED, OrderCancellationRequested(ORDER_ID, "no", WHY))
    unpacked = ShipmentCancelled(ORDER_ID, ShipmentId(name), "the order is not sent any more")
    wanted = (unpacked,) if status is ParcelStatus.PACKED else ()
    assert look(SHIPPING, called_off, parcels=(one,), **facts).shipments == wanted


def test_a_capture_that_may_be_done_is_waited_for_though_its_parcel_went_back() -> None:
    """Otherwise the parcel that is sent again would be charged beside it."""
    back = parcel(ParcelStatus.RETURNED)
    facts: dict[str, Any] = {"allocation": SHIPPED, "payment": AUTHORIZED, "parcels": (back,)}
    open_capture = look(SENT, here(CONFIRMED), **facts)
    assert failed(Step.CAPTURE, "called_off", "p1") not in open_capture.fulfilment
    known = [*SENT, failed(Step.CAPTURE, "failed", "p1", retry_at=seconds(60))]
    called_off = look(known, here(CONFIRMED), **facts)
    assert failed(Step.CAPTURE, "called_off", "p1") in called_off.fulfilment


def test_all_delivered_and_paid_completes_the_order() -> None:
    delivered = parcel(ParcelStatus.DELIVERED)
    assert look(
        SENT, here(CONFIRMED), allocation=SHIPPED, payment=CAPTURED, parcels=(delivered,)
    ) == then(
        done(Step.CAPTURE, "p1"),
        done(Step.DELIVER, "p1"),
        FulfilmentCompleted(ORDER_ID),
        order=[OrderCompleted(ORDER_ID)],
    )


def test_delivered_but_not_paid_is_not_complete() -> None:
    delivered = parcel(ParcelStatus.DELIVERED)
    assert look(
        SENT, here(CONFIRMED), allocation=SHIPPED, payment=AUTHORIZED, parcels=(delivered,)
    ) == then(done(Step.DELIVER, "p1"))


def test_hundreds_of_answers_that_come_at_once_are_all_noted() -> None:
    """As where a carrier tells of many parcels in one webhook, or the service was down."""
    names = [f"p{number}" for number in range(100)]
    order = here(CONFIRMED, lines=[line(quantity=len(names))])
    events = [
        *SHIPPING,
        *(started(step, name) for name in names for step in (Step.CAPTURE, Step.DELIVER)),
        done(Step.SHIP),
    ]
    reaction = look(
        events,
        order,
        allocation=replace(SHIPPED, shipped={1: len(names)}),
        payment=replace(CAPTURED, captures=dict.fromkeys(names, order.total_minor // len(names))),
        parcels=tuple(parcel(ParcelStatus.DELIVERED, quantity=1, name=name) for name in names),
    )
    assert reaction.order == (OrderCompleted(ORDER_ID),)
    assert set(reaction.fulfilment[:-1]) == {
        done(step, name) for name in names for step in (Step.CAPTURE, Step.DELIVER)
    }


@pytest.mark.parametrize(
    ("payment", "step", "subject"),
    [
        (replace(CAPTURED, captures={"p1": 400}, held_minor=100), Step.CAPTURE, "rest"),
        (replace(CAPTURED, captures={"p1": 600}), Step.REFUND, "surplus/1"),
        (
            replace(CAPTURED, captures={"p1": 700}, refunds={"surplus/1": 100}),
            Step.REFUND,
            "surplus/2",
        ),
        (replace(CAPTURED, held_minor=7), Step.VOID, ""),
    ],
)
def test_before_it_completes_what_was_taken_becomes_what_is_owed(
    payment: PaymentFacts, step: Step, subject: str
) -> None:
    events: list[FulfilmentEvent] = [*SENT, done(Step.CAPTURE, "p1"), done(Step.DELIVER, "p1")]
    delivered = parcel(ParcelStatus.DELIVERED)
    assert look(
        events, here(CONFIRMED), allocation=SHIPPED, payment=payment, parcels=(delivered,)
    ) == then(started(step, subject, due_at=seconds(TIMING.answer_s)))


@pytest.mark.parametrize("failures", [0, 1])
def test_money_that_is_being_taken_is_not_let_go_of(failures: int) -> None:
    """Under way, the rest is held no more and taken not yet: a void would win the race."""
    asked = started(Step.CAPTURE, "rest", attempt=failures + 1)
    events = [*SENT, done(Step.CAPTURE, "p1"), done(Step.DELIVER, "p1"), asked]
    payment = replace(CAPTURED, captures={"p1": 400}, pending=True, failures={"rest": failures})
    delivered = parcel(ParcelStatus.DELIVERED)
    assert (
        look(events, here(CONFIRMED), allocation=SHIPPED, payment=payment, parcels=(delivered,))
        == then()
    )


def test_what_the_bank_took_back_is_not_given_back_once_more() -> None:
    events: list[FulfilmentEvent] = [*SENT, done(Step.CAPTURE, "p1"), done(Step.DELIVER, "p1")]
    payment = replace(CAPTURED, captures={"p1": 600}, charged_back_minor=600)
    delivered = parcel(ParcelStatus.DELIVERED)
    assert look(
        events, here(CONFIRMED), allocation=SHIPPED, payment=payment, parcels=(delivered,)
    ) == then(FulfilmentCompleted(ORDER_ID), order=[OrderCompleted(ORDER_ID)])


# Undoing.


def test_an_order_cancelled_before_anything_was_asked_for_ends_at_once() -> None:
    assert look(order=here(CANCELLING)) == then(
        FulfilmentStarted(ORDER_ID, charged=True), ENDED, order=[CANCELLED]
    )


def test_a_cancelled_order_gives_back_stock_and_then_money_and_then_ends() -> None:
    order = here(CONFIRMED, CANCELLING)
    events: list[FulfilmentEvent] = [*SHIPPING]
    first = look(events, order, allocation=COMMITTED, payment=AUTHORIZED)
    assert first == then(
        compensating("cancelled", "cancelled"),
        failed(Step.SHIP, "called_off"),
        started(Step.RELEASE, due_at=seconds(TIMING.answer_s)),
    )
    events += first.fulfilment
    released = replace(COMMITTED, held={1: 0})
    second = look(events, order, allocation=released, payment=AUTHORIZED)
    assert second == then(done(Step.RELEASE), started(Step.VOID, due_at=seconds(TIMING.answer_s)))
    events += second.fulfilment
    voided = replace(AUTHORIZED, held_minor=0, voided=True)
    assert look(events, order, allocation=released, payment=voided) == then(
        done(Step.VOID), ENDED, order=[CANCELLED]
    )


def test_a_cancelled_order_whose_parcel_came_back_is_refunded() -> None:
    order = here(CONFIRMED, CANCELLING)
    released = replace(SHIPPED, held={})
    reaction = look(
        [*SENT, done(Step.CAPTURE, "p1")],
        order,
        allocation=released,
        payment=CAPTURED,
        parcels=(parcel(ParcelStatus.RETURNED),),
    )
    assert reaction.fulfilment[-1] == started(
        Step.REFUND, "surplus/1", due_at=seconds(TIMING.answer_s)
    )
    assert reaction.order == ()


@pytest.mark.parametrize(
    "payment", [NOTHING, PaymentFacts(attempt=1, pending=True)], ids=["unread", "unanswered"]
)
def test_a_cancelled_order_waits_for_an_authorization_that_may_still_come(
    payment: PaymentFacts,
) -> None:
    events: list[FulfilmentEvent] = [
        *AUTHORIZING,
        compensating("cancelled", "x"),
        started(Step.VOID),
    ]
    released = AllocationFacts(reserved=True)
    facts: dict[str, Any] = {"order": here(CANCELLING), "allocation": released}
    assert look(events, payment=payment, **facts).order == ()
    tombstone = PaymentFacts(attempt=payment.attempt, voided=True)
    assert look(events, payment=tombstone, **facts).order == (CANCELLED,)


def test_an_authorization_that_arrives_after_the_end_is_voided() -> None:
    events: list[FulfilmentEvent] = [
        *AUTHORIZING,
        compensating("cancelled", "x"),
        started(Step.VOID),
        done(Step.VOID),
    ]
    reaction = look(
        [*events, ENDED],
        here(CANCELLING, CANCELLED),
        allocation=AllocationFacts(reserved=True),
        payment=AUTHORIZED,
    )
    assert started(Step.VOID, attempt=2, due_at=seconds(TIMING.answer_s)) in reaction.fulfilment
    assert reaction.order == ()


def test_a_cancelled_order_waits_for_a_reservation_that_may_still_come() -> None:
    assert look(RESERVING, here(CANCELLING)) == then(
        compensating("cancelled", "cancelled"),
        failed(Step.RESERVE, "called_off"),
        started(Step.RELEASE, due_at=seconds(TIMING.answer_s)),
    )


def test_a_customer_who_cancels_what_is_being_rejected_gets_it_cancelled() -> None:
    events: list[FulfilmentEvent] = [
        *RESERVING,
        compensating("rejected", "x"),
        started(Step.RELEASE),
    ]
    reaction = look(events, here(CANCELLING), allocation=AllocationFacts(reserved=True))
    assert (reaction.fulfilment[-1], reaction.order) == (ENDED, (CANCELLED,))


def test_a_compensation_without_an_answer_is_asked_about_and_then_stuck() -> None:
    events: list[FulfilmentEvent] = [
        *RESERVING,
        compensating("cancelled", "x"),
        failed(Step.RESERVE, "called_off"),
    ]
    for asked in range(1, TIMING.most_asks):
        events += [started(Step.RELEASE), timed_out(Step.RELEASE)]
        [again] = look(events, here(CANCELLING), allocation=RESERVED).fulfilment
        pause = min(TIMING.answer_s * 2**asked, TIMING.longest_pause_s)
        assert again == started(Step.RELEASE, due_at=seconds(pause))
    events += [started(Step.RELEASE), timed_out(Step.RELEASE)]
    assert look(events, here(CANCELLING), allocation=RESERVED) == then(
        stuck(Step.RELEASE, "no_answer")
    )


# Changes on the way.


def test_pieces_of_cancelled_lines_are_released() -> None:
    fewer = OrderLinesCancelled(ORDER_ID, (CancelledLine(1, Sku("A"), 2),), "x", WHY)
    order = here(CONFIRMED, fewer)
    released = started(Step.RELEASE, "lines", due_at=seconds(TIMING.answer_s))
    assert look(SHIPPING, order, allocation=COMMITTED, payment=AUTHORIZED) == then(released)
    events: list[FulfilmentEvent] = [*SHIPPING, released]
    smaller = replace(COMMITTED, held={1: 3})
    assert look(events, order, allocation=smaller, payment=AUTHORIZED) == then(
        done(Step.RELEASE, "lines")
    )


def test_a_received_return_is_refunded_and_restocked() -> None:
    subject = f"{RETURN_ID}/1"
    facts: dict[str, Any] = {"allocation": SHIPPED, "parcels": (parcel(ParcelStatus.DELIVERED),)}
    events: list[FulfilmentEvent] = [*SENT, done(Step.CAPTURE, "p1"), done(Step.DELIVER, "p1")]
    events.append(FulfilmentCompleted(ORDER_ID))
    order = here(CONFIRMED, OrderCompleted(ORDER_ID))
    asked = look(events, order, payment=CAPTURED, returns=(receipt(),), **facts)
    assert asked == then(
        started(Step.REFUND, subject, due_at=seconds(TIMING.answer_s)),
        started(Step.RESTOCK, subject, due_at=seconds(TIMING.answer_s)),
    )
    events += asked.fulfilment
    facts["allocation"] = replace(SHIPPED, restocked=frozenset({subject}))
    refunded = replace(CAPTURED, refunds={subject: 100})
    assert look(events, order, payment=refunded, returns=(receipt(),), **facts) == Reaction(
        (done(Step.REFUND, subject), done(Step.RESTOCK, subject)),
        returns=(ReturnRefunded(ORDER_ID, RETURN_ID, 1, 100),),
    )
    events += [done(Step.REFUND, subject), done(Step.RESTOCK, subject)]
    noted = (receipt(refunded_minor=100),)
    assert look(events, order, payment=refunded, returns=noted, **facts) == Reaction()
    less = replace(CAPTURED, refunds={subject: 60}, failures={subject: 1})
    again = look(events, order, payment=less, returns=noted, **facts)
    assert again.returns == (ReturnRefunded(ORDER_ID, RETURN_ID, 1, 60),)


def test_a_receipt_of_which_people_left_the_refund_out_is_told_as_given_back_nothing() -> None:
    step = (Step.REFUND, f"{RETURN_ID}/1")
    order = here(CONFIRMED, OrderCompleted(ORDER_ID))
    events: list[FulfilmentEvent] = [*SENT, done(Step.CAPTURE, "p1"), done(Step.DELIVER, "p1")]
    events += [FulfilmentCompleted(ORDER_ID), started(*step), stuck(Step.REFUND, "no", step[1])]
    events += skip(saga(*events), *step, reason="paid in cash", payment=CAPTURED)
    facts: dict[str, Any] = {"parcels": (parcel(ParcelStatus.DELIVERED),), "allocation": SHIPPED}
    facts["payment"] = replace(CAPTURED, failures={step[1]: 2})
    told = ReturnRefunded(ORDER_ID, RETURN_ID, 1, 0)
    for before in (None, 100):  # the bank may have sent it back
        returns = (receipt(restock=0, refunded_minor=before),)
        assert look(events, order, returns=returns, **facts) == Reaction(returns=(told,))
    left_out = (receipt(restock=0, refunded_minor=0),)
    assert look(events, order, returns=left_out, **facts) == Reaction()
    # What it frees is given back at once where it is owed: no other look follows.
    facts["payment"] = replace(facts["payment"], captures={"p1": 600}, charged_back_minor=500)
    owed = started(Step.REFUND, "surplus/1", due_at=seconds(TIMING.answer_s))
    looked = look(events, order, returns=(receipt(restock=0),), **facts)
    assert looked == Reaction((owed,), returns=(told,))
    assert look([*events, owed], order, returns=left_out, **facts) == Reaction()


def test_a_return_waits_for_the_money_that_is_still_to_be_taken() -> None:
    """With less taken than is to go back, what goes back now would be too little."""
    facts: dict[str, Any] = {"parcels": (parcel(ParcelStatus.DELIVERED),), "allocation": SHIPPED}
    events: list[FulfilmentEvent] = [*SENT, done(Step.CAPTURE, "p1"), done(Step.DELIVER, "p1")]
    nothing = replace(CAPTURED, captures={"p1": 0}, held_minor=500)
    asked = look(events, here(CONFIRMED), payment=nothing, returns=(receipt(restock=0),), **facts)
    assert asked == then(started(Step.CAPTURE, "rest", due_at=seconds(TIMING.answer_s)))
    events += asked.fulfilment
    taken = replace(CAPTURED, captures={"p1": 0, "rest": 500})
    asked = look(events, here(CONFIRMED), payment=taken, returns=(receipt(restock=0),), **facts)
    refund = started(Step.REFUND, f"{RETURN_ID}/1", due_at=seconds(TIMING.answer_s))
    assert refund in asked.fulfilment


@pytest.mark.parametrize(("by_hand", "waits"), [(400, False), (401, True)])
def test_a_return_waits_where_people_give_back_a_part_of_what_is_there(
    by_hand: int, *, waits: bool
) -> None:
    """Of five pieces three have left, and paid; the others will bring more."""
    order, parcels = here(CONFIRMED), (parcel(ParcelStatus.DELIVERED, quantity=3),)
    events: list[FulfilmentEvent] = [*SENT, done(Step.CAPTURE, "p1"), done(Step.DELIVER, "p1")]
    payment = replace(
        CAPTURED, captures={"p1": 500}, held_minor=200, refunding={"by-hand": by_hand}
    )
    reaction = look(
        events,
        replace(order, total_minor=700),
        allocation=COMMITTED,
        payment=payment,
        parcels=parcels,
        returns=(receipt(restock=0),),
    )
    refund = started(Step.REFUND, f"{RETURN_ID}/1", due_at=seconds(TIMING.answer_s))
    assert (refund not in reaction.fulfilment) is waits


def test_what_is_held_is_let_go_of_though_people_left_out_a_surplus() -> None:
    surplus = (Step.REFUND, "surplus/1")
    events: list[FulfilmentEvent] = [*SENT, done(Step.CAPTURE, "p1"), done(Step.DELIVER, "p1")]
    events += [started(*surplus), failed(Step.REFUND, "refused", "surplus/1")]
    events += [stuck(Step.REFUND, "refused", "surplus/1")]
    payment = replace(CAPTURED, captures={"p1": 600}, held_minor=7, failures={"surplus/1": 1})
    skipped = skip(saga(*events), *surplus, reason="paid in cash", payment=payment)
    facts: dict[str, Any] = {"parcels": (parcel(ParcelStatus.DELIVERED),), "allocation": SHIPPED}
    assert look([*events, *skipped], here(CONFIRMED), payment=payment, **facts) == then(
        started(Step.VOID, due_at=seconds(TIMING.answer_s))
    )


def test_a_surplus_that_the_bank_sends_back_after_the_end_is_given_back_again() -> None:
    surplus = (Step.REFUND, "surplus/1")
    events: list[FulfilmentEvent] = [*SENT, done(Step.CAPTURE, "p1"), done(Step.DELIVER, "p1")]
    events += [started(*surplus), done(*surplus), FulfilmentCompleted(ORDER_ID)]
    order = here(CONFIRMED, OrderCompleted(ORDER_ID))
    sent_back = replace(CAPTURED, captures={"p1": 600}, failures={"surplus/1": 1})
    facts: dict[str, Any] = {"parcels": (parcel(ParcelStatus.DELIVERED),), "allocation": SHIPPED}
    again = started(*surplus, attempt=2, due_at=seconds(TIMING.answer_s))
    assert look(events, order, payment=sent_back, **facts) == then(again)
    given = replace(sent_back, refunds={"surplus/1": 100})
    assert look([*events, again], order, payment=given, **facts) == then(done(*surplus, attempt=2))


def test_a_return_of_what_was_paid_elsewhere_owes_nothing() -> None:
    events: list[FulfilmentEvent] = [
        FulfilmentStarted(ORDER_ID, charged=False),
        FulfilmentCompleted(ORDER_ID),
    ]
    reaction = look(
        events,
        here(CONFIRMED, OrderCompleted(ORDER_ID), payment=PaymentMethod.SETTLED_ELSEWHERE),
        returns=(receipt(restock=0),),
    )
    assert reaction == Reaction(returns=(ReturnRefunded(ORDER_ID, RETURN_ID, 1, 0),))


def test_a_return_does_not_keep_an_order_from_completing() -> None:
    reaction = look(
        [*SENT],
        here(CONFIRMED),
        allocation=SHIPPED,
        payment=CAPTURED,
        parcels=(parcel(ParcelStatus.DELIVERED),),
        returns=(receipt(),),
    )
    assert reaction.order == (OrderCompleted(ORDER_ID),)
