from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from domain.ids import CustomerId
from domain.order.events import OrderPlaced, PaymentMethod
from tests.api.api import JSON, ORDER, Api, assert_problem


def test_a_placed_order_is_answered_with_where_it_is_and_how_far_the_log_went(api: Api) -> None:
    response = api.place()
    assert response.status_code == 201
    answer = response.json()
    assert set(answer) == {"order_id", "order_number", "version", "position", "status"}
    assert answer["status"] == "pending"
    assert answer["position"] == 1
    assert response.headers["location"] == f"/v1/orders/{answer['order_id']}"
    assert response.headers["etag"] == '"1"'
    assert response.headers["cache-control"] == "no-store"
    assert "idempotent-replayed" not in response.headers


def test_who_asked_and_under_which_names_is_stored_with_the_event(api: Api) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    response = api.place(headers={"X-Correlation-ID": "checkout-42", "traceparent": trace})
    assert response.headers["x-correlation-id"] == "checkout-42"
    envelope = api.store.log[0].envelope
    assert envelope.correlation_id == "checkout-42"
    assert envelope.traceparent == trace
    assert (envelope.actor.subject, envelope.actor.role) == ("shop", "service")


@pytest.mark.parametrize("trace", ["junk", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", ""])
def test_a_malformed_traceparent_is_not_passed_on(api: Api, trace: str) -> None:
    assert api.place(headers={"traceparent": trace}).status_code == 201
    assert api.store.log[0].envelope.traceparent is None


def test_what_a_service_does_not_know_may_be_left_out(api: Api) -> None:
    taken = datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    body = {
        "currency": "GBP",
        "customer": {"id": "guest-536544"},
        "lines": [{"sku": "POST", "name": "", "quantity": 1, "unit_price_minor": 0}],
        "payment": "settled_elsewhere",
        "placed_at": "2010-12-01T09:26:00+01:00",
    }
    assert api.place(body).status_code == 201
    recorded = api.store.log[0]
    assert recorded.envelope.occurred_at == taken
    assert isinstance(recorded.event, OrderPlaced)
    assert recorded.event.payment is PaymentMethod.SETTLED_ELSEWHERE


def test_the_same_key_and_body_gives_the_first_answer_again(api: Api) -> None:
    first = api.place(key="k")
    reordered = {name: ORDER[name] for name in reversed(list(ORDER))}
    again = api.place(key="k", raw=orjson.dumps(reordered, option=orjson.OPT_INDENT_2))
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["idempotent-replayed"] == "true"
    assert len(api.store.log) == 1


def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    api.place(key="k")
    assert_problem(api.place({**ORDER, "tax_minor": 1}, key="k"), 422, "idempotency_key_reused")
    assert len(api.store.log) == 1


def test_a_key_is_scoped_to_its_caller(api: Api) -> None:
    assert api.place(key="k").status_code == 201
    assert api.place(key="k", subject="other-shop").status_code == 201
    assert len(api.store.log) == 2


def test_an_external_reference_names_one_order_of_a_client(api: Api) -> None:
    first = api.place().json()
    problem = assert_problem(api.place(), 409, "external_reference_taken")
    assert problem["order_id"] == first["order_id"]
    assert problem["errors"][0]["pointer"] == "/external_reference"
    assert api.place(subject="other-shop").status_code == 201


@pytest.mark.parametrize("role", ["support", "merchant", "auditor"])
def test_only_a_service_may_place_orders_for_others(api: Api, role: str) -> None:
    assert_problem(api.place(role=role, subject="c-17850"), 403, "role_not_allowed")
    assert not api.store.log


def test_an_order_needs_an_idempotency_key(api: Api) -> None:
    response = api.call("POST", "/v1/orders", headers=JSON, content=orjson.dumps(ORDER))
    assert_problem(response, 400, "idempotency_key_missing")


@pytest.mark.parametrize("key", ["k" * 256, "two words", "tab\tbed", "caf\u00e9"])
def test_an_idempotency_key_is_visible_ascii_of_a_bounded_length(api: Api, key: str) -> None:
    sent: Any = {"Idempotency-Key": key.encode("latin-1")}
    response = api.call("POST", "/v1/orders", headers={**JSON, **sent}, content=orjson.dumps(ORDER))
    assert_problem(response, 400, "idempotency_key_malformed")


def test_an_order_is_not_from_the_future(api: Api) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert_problem(api.place({**ORDER, "placed_at": tomorrow}), 422, "placed_in_the_future")


def test_an_event_store_that_is_down_is_a_503_and_the_caller_may_try_again(api: Api) -> None:
    api.store.is_down = True
    response = api.place(key="k")
    assert_problem(response, 503, "store_unavailable")
    assert response.headers["retry-after"] == "1"
    api.store.is_down = False
    assert api.place(key="k").status_code == 201


def test_a_forgotten_customer_orders_nothing_more_but_what_they_ordered_is_cancelled(
    api: Api,
) -> None:
    order_id = api.placed()["order_id"]
    api.store.forgotten.add(CustomerId("c-17850"))
    assert_problem(api.place({**ORDER, "external_reference": None}), 409, "customer_forgotten")
    assert api.cancel(order_id).status_code == 201
