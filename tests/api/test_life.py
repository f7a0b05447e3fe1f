"""What people may do with an order over HTTP, who may, and what is said to those who may not."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from commands.envelopes import address_events
from commands.payment.gateway import (
    AttemptChanged,
    Authorized,
    ChargedBack,
    Moved,
    ProviderEvent,
    RefundChanged,
    refund_key,
)
from commands.ports import Answer, Append, Ports, Request, Stream, Write
from domain.envelope import Actor, Role
from domain.events import EventOfOrder
from domain.ids import OrderId, StreamId, order_stream, payment_stream
from domain.money import Currency
from domain.order.events import OrderConfirmed, OrderPlaced
from domain.payment.events import (
    PaymentAuthorizationRequested,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureRequested,
)
from tests.api.api import Api, assert_problem
from tests.fakes.event_store import CountedNames, SystemClock

BODY: dict[str, Any] = {
    "currency": "GBP",
    "customer": {"id": "c-1", "name": "Ada Byron"},
    "lines": [
        {"sku": "A", "name": "Lamp", "quantity": 3, "unit_price_minor": 1_000},
        {"sku": "B", "name": "Heart", "quantity": 1, "unit_price_minor": 500},
    ],
    "payment_token": "tok_visa",
}
WHY = {"reason": "because"}
SCAN = {"status": "delivered", "scanned_at": "2026-11-01T10:00:00Z"}


def happened(
    api: Api,
    order_id: OrderId,
    stream: StreamId,
    *events: EventOfOrder,
    by: Actor = Actor("test", Role.PROCESS),  # noqa: B008
) -> None:
    """Store what a service would."""
    ports = Ports(api.store, SystemClock(), CountedNames())
    request = Request(by, "c", "c", "test")

    async def append() -> Answer:
        found = [one for one in api.store.log if one.stream == stream]
        at: Stream[Any] = Stream(stream, None, len(found), 0, api.store._hash(found))
        addressed = address_events(events, request, ports, occurred_at=ports.clock.now())
        placed = next(one.event for one in api.store.log if one.stream == order_stream(order_id))
        assert isinstance(placed, OrderPlaced)
        written, customer = [Write(at, addressed, order_id)], placed.customer_id
        return await api.store.append(Append(written, request, Answer({}), customer_id=customer))

    asyncio.run(append())


@pytest.fixture
def order(api: Api) -> OrderId:
    return paid_order(api)


def paid_order(api: Api) -> OrderId:
    """Place an order that is paid for and has its stock."""
    placed = OrderId(api.store.log[-1].order_id) if api.place(BODY).is_success else None  # type: ignore[arg-type]
    assert placed is not None
    happened(
        api,
        placed,
        payment_stream(placed),
        PaymentAuthorizationRequested(placed, 1, 3_500, Currency("GBP"), "sandbox"),
        PaymentAuthorized(placed, 1, 3_500, "ref"),
    )
    happened(api, placed, order_stream(placed), OrderConfirmed(placed))
    return placed


def pack(api: Api, order: OrderId, **pieces: int) -> str:
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in pieces.items()]
    answer = api.post(f"/v1/orders/{order}/shipments", {"lines": lines})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["shipment_id"])


def dispatch(api: Api, shipment: str) -> Any:
    return api.post(f"/v1/shipments/{shipment}/dispatches", {"carrier": "dhl"})


def seen(api: Api, order: OrderId) -> dict[str, Any]:
    read: dict[str, Any] = api.get(f"/v1/orders/{order}", role="support").json()
    return read


def test_pieces_go_in_parcels_and_arrive(api: Api, order: OrderId) -> None:
    first = pack(api, order, A=2)
    assert dispatch(api, first).status_code == 201
    assert seen(api, order)["fulfillment_status"] == "partially_fulfilled"
    assert api.post(f"/v1/shipments/{first}/events", SCAN).status_code == 201
    second = pack(api, order, A=1, B=1)
    dispatch(api, second)
    api.post(f"/v1/shipments/{second}/events", SCAN)
    document = seen(api, order)
    assert document["fulfillment_status"] == "delivered"
    assert [one["delivered"] for one in document["lines"]] == [3, 1]


def test_no_more_pieces_are_packed_than_were_ordered(api: Api, order: OrderId) -> None:
    pack(api, order, A=2)
    refused = api.post(f"/v1/orders/{order}/shipments", {"lines": [{"sku": "A", "quantity": 2}]})
    problem = assert_problem(refused, 422, "quantity_above_remaining")
    assert problem["errors"][0]["pointer"] == "/lines/0/quantity"
    assert problem["remaining"] == 1


def test_what_left_is_not_cancelled_and_the_legal_actions_are_said(
    api: Api, order: OrderId
) -> None:
    dispatch(api, pack(api, order, A=3))
    refused = api.cancel(str(order), role="customer", subject="c-1")
    problem = assert_problem(refused, 409, "illegal_transition")
    assert problem["order_status"] == "confirmed"
    assert problem["actions"] == ["cancel_lines"]
    assert problem["actions"] == seen(api, order)["actions"]["customer"]


def test_a_cancellation_begins_what_the_saga_ends(api: Api, order: OrderId) -> None:
    answer = api.cancel(str(order), role="customer", subject="c-1")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancel_pending")


def test_a_held_order_stays_in_the_building(api: Api, order: OrderId) -> None:
    parcel = pack(api, order, A=1)
    assert api.post(f"/v1/orders/{order}/holds", WHY).status_code == 201
    assert_problem(dispatch(api, parcel), 409, "illegal_transition")
    assert api.post(f"/v1/orders/{order}/hold-releases", WHY).status_code == 201
    assert dispatch(api, parcel).status_code == 201


def test_a_customer_changes_the_address_until_a_parcel_leaves(api: Api, order: OrderId) -> None:
    body = {"shipping_address": {"line1": "2 Low St", "city": "Leeds", "country": "GB"}}
    path, own = f"/v1/orders/{order}/address-changes", {"role": "customer", "subject": "c-1"}
    assert api.post(path, body, **own).status_code == 201
    assert seen(api, order)["shipping_address"]["city"] == "Leeds"
    dispatch(api, pack(api, order, A=1))
    assert_problem(api.post(path, body, **own), 409, "illegal_transition")


def test_fewer_pieces_may_be_asked_for(api: Api, order: OrderId) -> None:
    body = {"reason": "too many", "lines": [{"sku": "A", "quantity": 1}]}
    assert api.post(f"/v1/orders/{order}/revisions", body, role="service").status_code == 201
    assert seen(api, order)["lines"][0]["cancelled"] == 2
    more = {"reason": "more", "lines": [{"sku": "A", "quantity": 5}]}
    refused = api.post(f"/v1/orders/{order}/revisions", more, role="service")
    assert_problem(refused, 422, "quantity_not_reduced")


def test_a_return_comes_in_parts_and_says_what_is_owed(api: Api, order: OrderId) -> None:
    parcel = pack(api, order, A=3, B=1)
    dispatch(api, parcel)
    happened(
        api,
        order,
        payment_stream(order),
        PaymentCaptureRequested(order, parcel, 3_500),
        PaymentCaptured(order, parcel, 3_500),
    )
    body = {"lines": [{"sku": "A", "quantity": 2}], "reason": "too big", "reason_code": "size"}
    path, own = f"/v1/orders/{order}/returns", {"role": "customer", "subject": "c-1"}
    assert_problem(api.post(path, body, **own), 409, "illegal_transition")  # not delivered yet
    api.post(f"/v1/shipments/{parcel}/events", SCAN)
    asked = api.post(path, body, **own)
    assert asked.status_code == 201
    name = asked.json()["return_id"]
    come = {"lines": [{"sku": "A", "quantity": 1, "restock": 1}]}
    assert_problem(api.post(f"/v1/returns/{name}/receipts", come), 409, "illegal_transition")
    assert api.post(f"/v1/returns/{name}/approvals", {}).status_code == 202
    assert api.post(f"/v1/returns/{name}/receipts", come).status_code == 202
    assert api.post(f"/v1/returns/{name}/receipts", come).status_code == 202
    too_much = api.post(f"/v1/returns/{name}/receipts", come)
    assert_problem(too_much, 409, "illegal_transition")  # all of it has come
    receipts = [one.event for one in api.store.log if one.type == "return.received.v2"]
    assert [getattr(one, "refund_minor", None) for one in receipts] == [1_000, 1_000]


def test_money_goes_back_only_as_far_as_it_was_taken(api: Api, order: OrderId) -> None:
    def refund(amount: int, currency: str = "GBP", key: str = "k") -> Any:
        body = {"amount_minor": amount, "currency": currency, "reason": "sorry"}
        headers = {"Idempotency-Key": f"{key}-{amount}-{currency}"}
        return api.post(f"/v1/payments/{order}/refunds", body, headers=headers)

    assert_problem(refund(1), 422, "refund_above_captured")
    happened(
        api,
        order,
        payment_stream(order),
        PaymentCaptureRequested(order, "p", 1_000),
        PaymentCaptured(order, "p", 1_000),
    )
    assert_problem(refund(10, "EUR"), 422, "currency_mismatch")
    first = refund(600)
    assert first.status_code == 202
    assert refund(600).json() == first.json()  # the same key
    assert_problem(refund(600, key="another"), 422, "refund_above_captured")
    unkeyed = api.post(
        f"/v1/payments/{order}/refunds", {"amount_minor": 1, "currency": "GBP", "reason": "x"}
    )
    assert_problem(unkeyed, 400, "idempotency_key_missing")


@pytest.mark.parametrize("path", ["shipments/{}/dispatches", "shipments/{}/events"])
def test_a_parcel_that_is_not_there_is_not_found(api: Api, path: str) -> None:
    body = {"carrier": "dhl"} if path.endswith("dispatches") else SCAN
    for name in ("01a2110e-eb3e-70c5-85fc-933321a6538c", "nonsense"):
        assert api.post(f"/v1/{path.format(name)}", body).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("holds", WHY),
        ("hold-releases", WHY),
        ("shipments", {"lines": [{"sku": "A", "quantity": 1}]}),
    ],
)
@pytest.mark.parametrize("role", ["customer", "service", "support", "auditor"])
def test_only_the_merchant_holds_and_packs(
    api: Api, order: OrderId, path: str, body: Any, role: str
) -> None:
    refused = api.post(f"/v1/orders/{order}/{path}", body, role=role, subject="c-1")
    assert_problem(refused, 403, "role_not_allowed")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("address-changes", {"shipping_address": {"country": "GB"}}),
        ("revisions", {"reason": "x", "lines": [{"sku": "A", "quantity": 1}]}),
        ("returns", {"reason": "x", "lines": [{"sku": "A", "quantity": 1}]}),
    ],
)
def test_an_order_of_somebody_else_is_not_found(
    api: Api, order: OrderId, path: str, body: Any
) -> None:
    other = api.post(f"/v1/orders/{order}/{path}", body, role="customer", subject="c-2")
    assert_problem(other, 404, "order_not_found")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("shipments", {"lines": []}),
        ("shipments", {"lines": [{"sku": "A", "quantity": 10**18}]}),
        ("shipments", {"lines": [{"sku": "A", "quantity": 1, "color": "red"}]}),
        ("shipments", {"lines": [{"sku": "NONE", "quantity": 1}]}),
        ("holds", {"reason": ""}),
        ("holds", {"reason": "a\u0000b"}),
        ("revisions", {"reason": "x", "lines": [{"sku": "A", "quantity": 0}]}),
        ("address-changes", {"shipping_address": {"country": "XX"}}),
    ],
)
def test_bad_input_stores_nothing(api: Api, order: OrderId, path: str, body: Any) -> None:
    before = len(api.store.log)
    assert api.post(f"/v1/orders/{order}/{path}", body).status_code == 422
    assert len(api.store.log) == before


def test_a_stale_view_is_no_ground_for_a_decision(api: Api, order: OrderId) -> None:
    tag = api.get(f"/v1/orders/{order}", role="support").headers["ETag"]
    path = f"/v1/orders/{order}/holds"
    assert api.post(path, WHY, headers={"If-Match": '"1"'}).status_code == 412
    assert api.post(path, WHY, headers={"If-Match": tag}).status_code == 201


def webhook(api: Api, body: bytes, signature: str = "right", provider: str = "sandbox") -> Any:
    return api.call(
        "POST",
        f"/v1/webhooks/payments/{provider}",
        role=None,
        headers={"sandbox-signature": signature},
        content=body,
    )


def test_what_the_provider_says_counts_once(api: Api, order: OrderId) -> None:
    taken_back = ChargedBack("dispute-1", 700)
    asked, taken = PaymentCaptureRequested(order, "p", 700), PaymentCaptured(order, "p", 700)
    happened(api, order, payment_stream(order), asked, taken)
    api.gateway.events[b"one"] = ProviderEvent("evt-1", order, taken_back)
    for _ in range(3):
        assert webhook(api, b"one").status_code == 204
    assert [one.type for one in api.store.log].count("payment.chargeback_received.v1") == 1
    known = AttemptChanged(1, Authorized("ref", 3_500))
    api.gateway.events[b"late"] = ProviderEvent("evt-2", order, known)
    before = len(api.store.log)
    assert webhook(api, b"late").status_code == 204
    assert len(api.store.log) == before


def test_a_webhook_that_is_not_the_providers_stores_nothing(api: Api, order: OrderId) -> None:
    api.gateway.events[b"one"] = ProviderEvent("evt-1", order, ChargedBack("d", 1))
    before = len(api.store.log)
    assert_problem(webhook(api, b"one", signature="wrong"), 401, "bad_signature")
    assert_problem(webhook(api, b"unheard of"), 404, "unknown_object")
    assert_problem(webhook(api, b"one", provider="stripe"), 404, "unknown_provider")
    assert len(api.store.log) == before


def test_a_refused_webhook_is_logged_by_its_code_and_nothing_of_it_is_repeated(
    api: Api, order: OrderId
) -> None:
    unasked = RefundChanged(refund_key(order, "sent-by-ada", 1), Moved(5))
    api.gateway.events[b"one"] = ProviderEvent("evt-1", order, unasked)
    with capture_logs() as lines:
        problem = assert_problem(webhook(api, b"one"), 422, "provider_disagrees")
        webhook(api, b"one", signature="wrong")
        webhook(api, b"one", provider="stripe")
    assert "sent-by-ada" not in str((problem, lines))
    told = [line for line in lines if line["event"] == "payment_webhook_refused"]
    codes = ["provider_disagrees", "bad_signature", "unknown_provider"]
    assert [line["code"] for line in told] == codes
    assert [line["order_id"] for line in told] == [str(order), None, None]
