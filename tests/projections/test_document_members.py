"""What each context's events make of the document, event by event."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.actions import legal_actions
from domain.envelope import Role
from domain.events import EventOfOrder
from domain.fulfilment import events as f
from domain.fulfilment.events import Step
from domain.fulfilment.overview import facts_of
from domain.ids import Sku
from domain.money import Currency
from domain.order.events import OrderRevised, RevisedLine
from domain.order.state import OrderStatus
from domain.payment import events as p
from domain.returns.events import ReturnReceived, ReturnRefunded
from domain.shipment import events as s
from domain.shipment.events import TrackingStatus
from projections.order.body import Body, timestamp
from projections.order.derived import derive
from projections.order.states import order_of
from tests.projections.life import (
    ALLOCATION,
    ENDINGS,
    FULFILMENT,
    ONE,
    ORDER,
    PAYMENT,
    RETURN,
    RETURNS,
    SHIPMENTS,
    document,
    hour,
    texts,
)
from tests.projections.test_order_document import ORDER_ID

CONFIRMED = ("order", ORDER[1:2])


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        (ORDER[1:2], {"status": "confirmed", "on_hold": False}),
        (
            ORDER[1:3],
            {
                "status": "confirmed",
                "on_hold": True,
                "hold_reason": "a payment for a parcel failed",
            },
        ),
        (ORDER[1:4], {"status": "confirmed", "on_hold": False, "hold_reason": None}),
        (ENDINGS["completed"], {"status": "completed", "on_hold": False}),
        (
            ENDINGS["rejected"],
            {
                "status": "rejected",
                "reject_reason": {
                    "code": "short_stock",
                    "text": "not enough of it is in stock",
                    "short_lines": [1],
                },
            },
        ),
        (
            ENDINGS["expired"],
            {
                "status": "expired",
                "reject_reason": {
                    "code": "expired",
                    "text": "the payment was not confirmed with the bank in time",
                    "short_lines": [],
                },
            },
        ),
        (ENDINGS["cancelled"][:2], {"status": "cancel_pending", "cancel_reason": "customer"}),
        (ENDINGS["cancelled"], {"status": "cancelled", "cancel_reason": "customer"}),
        ((ORDER[2], *ENDINGS["expired"]), {"status": "expired", "on_hold": False}),
    ],
)
def test_the_status_and_why_follow_the_orders_own_events(
    events: Sequence[EventOfOrder], shown: Mapping[str, Any]
) -> None:
    body = document(("order", events)).body
    assert {name: body[name] for name in shown} == shown


def test_a_revision_cancels_what_is_wanted_no_more() -> None:
    body = document(("order", ORDER[5:6])).body
    assert [line["cancelled"] for line in body["lines"]] == [1, 0]
    assert body["money"]["cancelled_minor"] == 100


def test_money_is_counted_as_the_payment_moves() -> None:
    axes = [document(("payment", PAYMENT[:n])).body for n in range(1, len(PAYMENT) + 1)]
    assert [body["payment_status"] for body in axes] == [
        *("none", "failed", "none", "none"),
        *("authorized", "authorized", "authorized", "authorized", "partially_paid"),
        *("partially_paid", "partially_paid", "partially_paid"),
        *("partially_refunded", "partially_refunded", "partially_refunded", "refunded"),
    ]
    shown = axes[-1]["payment"]
    amounts = {name: shown[name] for name in shown if name.endswith("_minor")}
    assert amounts == {
        "authorized_minor": 375,
        "captured_minor": 200,
        "refunded_minor": 80,
        "refund_pending_minor": 0,
        "voided_minor": 175,
        "chargeback_minor": 120,
    }
    assert axes[13]["payment"]["refund_pending_minor"] == 20


def test_a_part_that_was_taken_pays_for_what_is_left_of_the_order() -> None:
    fewer = OrderRevised(ORDER_ID, (RevisedLine(1, Sku("A"), 1),), "too many")
    statuses = [
        document(*order, ("payment", PAYMENT[:11])).body["payment_status"]
        for order in ((), (("order", (fewer,)),))
    ]
    assert statuses == ["partially_paid", "paid"]


def test_where_to_confirm_a_payment_is_shown_only_while_that_is_awaited() -> None:
    urls = [
        document(("payment", PAYMENT[:n])).body["payment"]["action_url"]
        for n in range(len(PAYMENT))
    ]
    assert [n for n, url in enumerate(urls) if url is not None] == [4]
    given_up = (*PAYMENT[:4], p.PaymentVoidRequested(ORDER_ID))
    assert document(("payment", given_up)).body["payment"]["action_url"] is None


def test_customers_read_of_their_money_what_concerns_them() -> None:
    assert texts(document(("payment", PAYMENT))) == [
        "Payment declined",
        "Please confirm the payment with your bank",
        "Payment authorized",
        "2.00 GBP paid",
        "1.75 GBP not taken, and yours again",
        "0.80 GBP refunded",
        "A refund did not come through",
        "1.20 GBP taken back by your bank",
    ]


def test_customers_read_nothing_of_money_where_none_moved() -> None:
    nothing: list[p.PaymentEvent] = [
        p.PaymentAuthorizationRequested(ORDER_ID, 1, 0, Currency("GBP"), "sandbox"),
        p.PaymentAuthorized(ORDER_ID, 1, 0, ""),
        p.PaymentCaptureRequested(ORDER_ID, str(ONE), 0),
        p.PaymentCaptured(ORDER_ID, str(ONE), 0),
        p.RefundRequested(ORDER_ID, "first", 0, "damaged"),
        p.PaymentRefunded(ORDER_ID, "first", 0),
        p.PaymentVoidRequested(ORDER_ID),
        p.PaymentVoided(ORDER_ID, 0),
    ]
    assert texts(document(("payment", nothing))) == []


def test_a_line_shows_what_is_held_for_it_and_not_there_yet() -> None:
    held = [
        [
            (line["allocated"], line["backordered"])
            for line in document(("allocation", ALLOCATION[:n])).body["lines"]
        ]
        for n in range(len(ALLOCATION))
    ]
    assert held == [
        [(0, 0), (0, 0)],
        [(3, 1), (1, 0)],
        [(3, 1), (1, 0)],
        [(2, 1), (1, 0)],
        [(0, 0), (1, 0)],
        [(0, 0), (1, 0)],
    ]


def test_pieces_are_counted_on_their_way_there_and_back() -> None:
    body = document(CONFIRMED, ("shipments", SHIPMENTS), ("returns", RETURNS)).body
    names = ("shipped", "delivered", "return_requested", "returned")
    assert [[line[name] for name in names] for line in body["lines"]] == [
        [2, 2, 1, 1],
        [0, 0, 0, 0],
    ]
    assert body["fulfillment_status"] == "partially_delivered"
    assert body["return_status"] == "returned"


def test_a_parcel_shows_where_it_is_whatever_scan_comes_late() -> None:
    statuses = [
        document(("shipments", SHIPMENTS[:n])).body["shipments"][0]["tracking_status"]
        for n in range(1, 10)
    ]
    assert statuses == [
        *(None, None, None, "in_transit", "in_transit"),
        *("out_for_delivery", "attempted_delivery", "exception", "delivered"),
    ]
    late = s.ShipmentOutForDelivery(ORDER_ID, ONE, "OD", hour(11), "London")
    parcel = document(("shipments", (*SHIPMENTS, late))).body["shipments"][0]
    assert parcel["tracking_status"] == "delivered"
    assert parcel["scans"][-1]["at"] == timestamp(hour(11))
    assert (parcel["delivered_at"], parcel["proof"]) == (timestamp(hour(10)), "sig-1")
    assert (parcel["carrier"], parcel["tracking_number"]) == ("Royal Mail", "RM1")
    proof = s.ProofOfDeliveryReceived(ORDER_ID, ONE, "sig-2")
    told = document(("shipments", (*SHIPMENTS, proof))).body
    assert told["shipments"][0]["proof"] == "sig-2"
    assert told["timeline"][-1]["code"] == "proof_of_delivery_received"


@given(st.permutations(range(30)))
def test_a_parcel_keeps_its_newest_scans_in_the_order_in_which_they_happened(
    hours: list[int],
) -> None:
    scans = [
        s.ShipmentTrackingUpdated(
            ORDER_ID, ONE, TrackingStatus.IN_TRANSIT, "IT", hour(number), None, None
        )
        for number in hours
    ]
    [parcel] = document(("shipments", (*SHIPMENTS[:2], *scans))).body["shipments"]
    assert [scan["at"] for scan in parcel["scans"]] == [timestamp(hour(n)) for n in range(10, 30)]


def test_customers_read_where_their_parcels_are_but_not_what_came_late() -> None:
    assert texts(document(("shipments", SHIPMENTS))) == [
        "2 pieces being packed",
        "2 pieces sent with Royal Mail",
        "Expected to arrive on 2026-03-03",
        "On its way in Leeds",
        "Out for delivery in London",
        "Nobody could take the parcel in London",
        "A problem on the way",
        "Delivered in London",
        "1 piece being packed",
        "1 piece being packed",
        "1 piece sent with DHL",
        "On its way back to the sender",
        "Proof of delivery received",
    ]


def test_a_return_shows_what_came_and_what_was_given_back() -> None:
    shown = [document(("returns", RETURNS[:n])).body["returns"][0] for n in range(1, 6)]
    assert [one["status"] for one in shown] == [
        *("requested", "approved", "partially_received", "partially_received", "refunded")
    ]
    assert [one["lines"][0]["received"] for one in shown] == [0, 0, 1, 1, 1]
    assert [one["refunded_minor"] for one in shown] == [0, 0, 0, 80, 80]
    later = [ReturnRefunded(ORDER_ID, RETURN, 1, minor) for minor in (60, 0)]
    for n, back in enumerate((60, 0), 1):
        [one] = document(("returns", (*RETURNS, *later[:n]))).body["returns"]
        assert (one["refunded_minor"], one["receipts"][0]["refunded_minor"]) == (back, back)
        assert (one["status"], one["receipts"][0]["refund_minor"]) == ("refunded", 80)
    assert texts(document(("returns", RETURNS))) == [
        "Return of 2 pieces requested: broken",
        "Return approved",
        "1 piece received back",
        "Return cancelled: kept one",
    ]


def test_a_customer_reads_why_less_is_given_back_for_a_return() -> None:
    asked, approved, received, *_ = RETURNS
    assert isinstance(received, ReturnReceived)
    less = replace(received, refund_minor=30, withheld_minor=50)
    assert texts(document(("returns", (asked, approved, less))))[-1] == (
        "1 piece received back; 0.50 GBP of what was paid for it was given back before"
    )


def test_an_order_without_a_saga_waits_for_nothing() -> None:
    assert document().body["fulfilment"] is None


def test_an_order_shows_what_it_waits_for_and_until_when() -> None:
    waits = [document(("fulfilment", FULFILMENT[:n])).body["fulfilment"] for n in range(1, 19)]
    assert [(one["step"], one["stuck"]) for one in waits] == [
        *((None, None), ("reserve", None), (None, None)),
        *((("authorize", None),) * 4),
        *((None, None), ("ship", None), ("ship", None)),
        *(("capture", None), ("ship", None), ("capture", "refused"), ("ship", None)),
        *(("ship", None), (None, None), (None, None), (None, None)),
    ]
    unpaid = waits[6]
    # The stock is held so long; the single attempt's time is a matter between services.
    assert unpaid["due_at"] == timestamp(hour(1))
    assert unpaid["waiting_for"] == "the payment"
    assert unpaid["since"] == waits[3]["since"]
    assert [one["steps"][0]["is_overdue"] for one in waits[8:10]] == [False, True]
    assert waits[-1]["outcome"] == "completed"
    assert waits[-2]["outcome"] == "cancelled"


def test_a_step_that_is_stuck_waits_since_it_began() -> None:
    late, stuck = FULFILMENT[:10], f.FulfilmentStuck(ORDER_ID, Step.SHIP, "", "returned_to_sender")
    before = document(("fulfilment", late)).body["fulfilment"]
    after = document(("fulfilment", (*late, stuck))).body["fulfilment"]
    assert (after["stuck"], after["due_at"]) == ("returned_to_sender", None)
    assert after["since"] == before["since"]


@pytest.mark.parametrize("step", [Step.CAPTURE, Step.REFUND])
def test_a_step_that_is_stuck_after_its_last_failure_says_which_attempt_that_was(
    step: Step,
) -> None:
    tries: tuple[f.FulfilmentEvent, ...] = (
        f.FulfilmentStepStarted(ORDER_ID, step, "x", 1, hour(4)),
        f.FulfilmentStepFailed(ORDER_ID, step, "x", 1, "failed", hour(5)),
        f.FulfilmentStepStarted(ORDER_ID, step, "x", 2, hour(6)),
        f.FulfilmentStepTimedOut(ORDER_ID, step, "x", 2),
    )
    final = f.FulfilmentStepFailed(ORDER_ID, step, "x", 2, "failed", None)
    stuck = f.FulfilmentStuck(ORDER_ID, step, "x", "failed")
    [before] = document(("fulfilment", (*FULFILMENT[:1], *tries))).body["fulfilment"]["steps"]
    after = document(("fulfilment", (*FULFILMENT[:1], *tries, final, stuck))).body["fulfilment"]
    changed = {"stuck": "failed", "due_at": None, "is_overdue": False}
    assert after["steps"] == [before | changed]
    assert (before["attempt"], after["since"], after["due_at"]) == (2, before["since"], None)


def test_a_step_that_nobody_wants_any_more_is_waited_for_no_more() -> None:
    begun = f.FulfilmentStepStarted(ORDER_ID, Step.CAPTURE, "x", 1, hour(4))
    off = f.FulfilmentStepFailed(ORDER_ID, Step.CAPTURE, "x", 1, "called_off", None)
    waits = document(("fulfilment", (*FULFILMENT[:1], begun, off))).body["fulfilment"]
    assert (waits["step"], waits["steps"]) == (None, [])


def test_nothing_of_the_saga_is_in_the_timeline() -> None:
    assert texts(document(("fulfilment", FULFILMENT))) == []


def test_each_role_is_offered_what_it_may_do_now() -> None:
    at_first = document().body["actions"]
    assert at_first["customer"] == ["cancel", "cancel_lines", "revise_lines", "change_address"]
    assert "hold" in at_first["merchant"]
    assert "hold" not in at_first["customer"]
    assert at_first["support"] == []
    sent = document(CONFIRMED, ("shipments", SHIPMENTS[:2])).body["actions"]
    assert "cancel" not in sent["customer"]
    assert {"create_shipment", "record_tracking"} <= set(sent["merchant"])
    delivered = document(CONFIRMED, ("shipments", SHIPMENTS[:9]), ("payment", PAYMENT[:9])).body
    assert "request_return" in delivered["actions"]["customer"]
    assert "refund" in delivered["actions"]["merchant"]


@given(
    status=st.sampled_from(list(OrderStatus)),
    on_hold=st.booleans(),
    lines=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=3),
)
def test_the_actions_of_an_untouched_order_are_those_that_the_decisions_take(
    *, status: OrderStatus, on_hold: bool, lines: list[tuple[int, int]]
) -> None:
    body: Body = dict(document().body)
    body |= {"status": str(status), "on_hold": on_hold, "hold_reason": "why" if on_hold else None}
    body["lines"] = [
        body["lines"][0]
        | {"line_number": number, "quantity": quantity, "cancelled": min(quantity, cancelled)}
        for number, (quantity, cancelled) in enumerate(lines, 1)
    ]
    derive(body)
    facts = facts_of(allocation=None, payment=None, shipments=None, returns=None)
    for role in (Role.CUSTOMER, Role.MERCHANT, Role.SERVICE, Role.SUPPORT):
        assert body["actions"][role] == list(legal_actions(order_of(body), facts, role))
