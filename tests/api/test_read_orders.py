from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.api import ORDER, Api, assert_problem


def test_an_order_is_shown_as_it_was_placed(api: Api) -> None:
    placed = api.placed(external_reference="536365")
    response = api.get(f"/v1/orders/{placed['order_id']}")
    assert response.status_code == 200
    assert response.headers["etag"] == f'"{placed["position"]}"'
    assert response.headers["order-view"] == "redis"
    assert response.headers["cache-control"] == "private, no-cache"
    shown = response.json()
    assert shown["customer"] == ORDER["customer"]
    assert shown["external_reference"] == "536365"
    assert shown["money"]["total_minor"] == 6 * 255 + 2 * 339 + 499


def test_a_fresh_order_is_read_from_the_event_store(api: Api) -> None:
    answer = api.place().json()
    response = api.get(f"/v1/orders/{answer['order_id']}?min_position={answer['position']}")
    assert response.status_code == 200
    assert response.headers["order-view"] == "event-store"


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0.25),
        ("wait=3", 3.0),
        ("respond-async, WAIT = 2", 2.0),
        ('wait="1"; x=y', 1.0),
        ("wait=0", 0.0),
        ("wait=99999", 10.0),
        ("wait=-1", 0.25),
        ("wait=nan", 0.25),
        ("wait=" + "9" * 400, 0.25),
    ],
)
def test_a_caller_says_how_long_to_wait_for_the_view(
    api: Api, prefer: str | None, seconds: float
) -> None:
    headers = {} if prefer is None else {"Prefer": prefer}
    api.get(f"/v1/orders/{uuid4()}", headers=headers)
    assert api.views.waits == [seconds]


@pytest.mark.parametrize("sent", ['"1"', 'W/"1"', '"7", W/"1"', "*"])
def test_a_document_that_the_caller_has_is_not_sent_again(api: Api, sent: str) -> None:
    order_id = api.placed()["order_id"]
    response = api.get(f"/v1/orders/{order_id}", headers={"If-None-Match": sent})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"1"'
    api.cancel(order_id)
    api.views.catch_up()
    if sent != "*":
        changed = api.get(f"/v1/orders/{order_id}", headers={"If-None-Match": sent})
        assert changed.status_code == 200


@pytest.mark.parametrize("sent", ["1", '"2"', "", '"'])
def test_an_if_none_match_that_names_another_document_changes_nothing(api: Api, sent: str) -> None:
    order_id = api.placed()["order_id"]
    response = api.get(f"/v1/orders/{order_id}", headers={"If-None-Match": sent})
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["", "/history"])
def test_anothers_order_and_a_missing_one_are_the_same_to_a_customer(api: Api, path: str) -> None:
    order_id = api.placed()["order_id"]
    who: Any = {"role": "customer", "subject": "c-1"}
    anothers = api.get(f"/v1/orders/{order_id}{path}", **who)
    assert_problem(anothers, 404, "order_not_found")
    for missing in (str(uuid4()), "no-uuid"):
        answer = api.get(f"/v1/orders/{missing}{path}", **who)
        assert answer.content == anothers.content
        assert _headers(answer) == _headers(anothers)
    own = api.get(f"/v1/orders/{order_id}{path}", role="customer", subject="c-17850")
    assert own.status_code == 200


@pytest.mark.parametrize(
    ("path", "readers"),
    [
        ("/v1/orders", {"customer", "support", "merchant", "service"}),
        ("/v1/orders/{id}", {"customer", "support", "merchant", "service"}),
        ("/v1/orders/{id}/history", {"customer", "support", "merchant", "service", "auditor"}),
    ],
)
def test_each_role_reads_what_it_may(api: Api, path: str, readers: set[str]) -> None:
    path = path.format(id=api.placed()["order_id"])
    for role in ("customer", "support", "merchant", "service", "auditor"):
        response = api.get(path, role=role, subject="c-17850")
        assert response.status_code == (200 if role in readers else 403), role
    assert_problem(api.get(path, role=None), 401, "token_missing")


def test_auditors_see_histories_without_personal_data(api: Api) -> None:
    order_id = api.placed()["order_id"]
    api.cancel(order_id, role="customer", subject="c-17850")
    seen = api.get(f"/v1/orders/{order_id}/history", role="support")
    assert "ada@example.com" in seen.text
    audited = api.get(f"/v1/orders/{order_id}/history", role="auditor")
    assert "ada@example.com" not in audited.text
    items = audited.json()["items"]
    assert [item["type"] for item in items] == ["order.placed.v2", "order.cancelled.v2"]
    assert [item["actor"]["role"] for item in items] == ["service", "customer"]
    assert items[0]["recorded_at"].endswith("Z")


def test_while_redis_is_down_orders_are_read_and_lists_ask_to_come_back(api: Api) -> None:
    order_id = api.placed()["order_id"]
    api.views.is_down = True
    assert api.get(f"/v1/orders/{order_id}").headers["order-view"] == "event-store"
    response = api.get("/v1/orders")
    assert_problem(response, 503, "views_unavailable")
    assert response.headers["retry-after"] == "1"
    api.views.folds_allowed = False
    response = api.get(f"/v1/orders/{order_id}")
    assert_problem(response, 503, "too_many_folds")
    assert response.headers["retry-after"] == "1"
    api.views.folds_allowed = True
    api.store.is_down = True
    assert_problem(api.get(f"/v1/orders/{order_id}"), 503, "store_unavailable")


def test_a_list_is_walked_to_its_end_without_loss_or_repeat(api: Api) -> None:
    placed = [api.placed()["order_id"] for _ in range(7)]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        page = api.get(f"/v1/orders?limit=2{f'&cursor={cursor}' if cursor else ''}").json()
        seen += [item["order_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == placed[::-1]
    assert page["as_of_position"] == 7


def test_a_list_is_filtered(api: Api) -> None:
    first = api.placed(external_reference="A/1&2")["order_id"]
    second = api.placed(customer={"id": "c-2"})["order_id"]
    api.cancel(second)
    api.views.catch_up()
    assert _listed(api.get("/v1/orders?external_reference=A%2F1%262")) == [first]
    assert _listed(api.get("/v1/orders?status=cancelled")) == [second]
    assert _listed(api.get("/v1/orders?customer_id=c-2")) == [second]
    assert _listed(api.get("/v1/orders?customer_id=c-2&status=pending")) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("payment_status=none", {"pending", "cancelled"}),
        ("payment_status=paid", {"settled"}),
        ("fulfillment_status=unfulfilled&status=pending", {"pending", "settled"}),
        ("fulfillment_status=delivered", set()),
        ("return_status=none&payment_status=paid", {"settled"}),
        ("return_status=requested", set()),
        ("work=on_hold", set()),
        ("created_from=2026-01-02T00:00:00Z", {"pending", "settled"}),
        ("created_to=2026-01-02T00:00:00Z", {"cancelled"}),
        (
            "created_from=2026-01-02T01:00:00%2B01:00&created_to=2026-01-03T00:00:00Z",
            {"pending"},
        ),
    ],
)
def test_a_list_is_by_each_axis_and_by_time(api: Api, query: str, found: set[str]) -> None:
    elsewhere = {"payment": "settled_elsewhere", "payment_token": None}
    names = {
        api.placed(placed_at="2026-01-01T00:00:00Z")["order_id"]: "cancelled",
        api.placed(placed_at="2026-01-02T00:00:00Z")["order_id"]: "pending",
        api.placed(placed_at="2026-01-03T00:00:00Z", **elsewhere)["order_id"]: "settled",
    }
    api.cancel(next(iter(names)))
    api.views.catch_up()
    assert {names[order_id] for order_id in _listed(api.get(f"/v1/orders?{query}"))} == found


def test_work_lists_are_for_those_who_work(api: Api) -> None:
    for role in ("merchant", "support", "service"):
        assert api.get("/v1/orders?work=to_pick", role=role).status_code == 200
    refused = api.get("/v1/orders?work=to_pick", role="customer", subject="c-1")
    assert_problem(refused, 403, "role_not_allowed")


def test_a_customers_list_is_of_their_own_orders(api: Api) -> None:
    own = api.placed()["order_id"]
    api.placed(customer={"id": "c-2"})
    who: Any = {"role": "customer", "subject": "c-17850"}
    assert _listed(api.get("/v1/orders", **who)) == [own]
    assert _listed(api.get("/v1/orders?customer_id=c-17850", **who)) == [own]
    assert_problem(api.get("/v1/orders?customer_id=c-2", **who), 403, "not_your_orders")


def test_a_cursor_is_good_only_for_the_list_that_it_is_from(api: Api) -> None:
    for _ in range(3):
        api.placed()
    cursor = api.get("/v1/orders?limit=1").json()["next_cursor"]
    assert api.get(f"/v1/orders?limit=2&cursor={cursor}").status_code == 200
    for query in (
        f"status=pending&cursor={cursor}",
        f"created_to=2030-01-01T00:00:00Z&cursor={cursor}",
        f"cursor={cursor[:-4]}",
        f"cursor={cursor[::-1]}",
        "cursor=",
        "cursor=%F0%9F%98%80",
        "cursor=W10",
        "cursor=bnVsbA",
        "cursor=eyJhZnRlciI6MX0",
    ):
        problem = assert_problem(api.get(f"/v1/orders?{query}"), 422, "bad_cursor")
        assert problem["errors"][0]["parameter"] == "cursor"
    theirs = api.get(f"/v1/orders?cursor={cursor}", role="customer", subject="c-17850")
    assert_problem(theirs, 422, "bad_cursor")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1.5",
        "limit=1_0",
        "limit=%201",
        "limit=" + "9" * 5000,
        "limit=",
        "status=lost",
        "payment_status=owed",
        "work=all",
        "created_from=yesterday",
        "created_to=2026-01-01T00:00:00",
        "status=",
        "customer_id=",
        "customer_id=%00",
        "customer_id=" + "c" * 129,
        "external_reference=a%0Ab",
        "custmer_id=c-1",
        "limit=1&limit=1",
        "customer_id=c-1&customer_id=c-2",
        "cursor=&limit=1&cursor=",
        "cursor=" + "c" * 2000,
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(api: Api, query: str) -> None:
    problem = assert_problem(api.get(f"/v1/orders?{query}"), 422, "invalid_request")
    assert [error["parameter"] for error in problem["errors"]] == [query.partition("=")[0]]


@pytest.mark.parametrize(
    "query",
    [
        "min_position=-1",
        f"min_position={2**63}",
        "min_position=x",
        "min_position=",
        "min_position=0&min_position=1",
    ],
)
def test_a_parameter_of_one_order_is_checked_too(api: Api, query: str) -> None:
    response = api.get(f"/v1/orders/{api.placed()['order_id']}?{query}")
    assert_problem(response, 422, "invalid_request")


@pytest.mark.parametrize("path", ["/v1/orders/{id}/history?x=1", "/v1/orders/{id}?x"])
def test_an_unknown_parameter_is_refused(api: Api, path: str) -> None:
    path = path.format(id=api.placed()["order_id"])
    response = api.get(path if "=" in path else f"{path}=1")
    assert_problem(response, 422, "invalid_request")


def test_a_position_that_the_log_has_not_reached_is_refused(api: Api) -> None:
    placed = api.placed()
    path = f"/v1/orders/{placed['order_id']}?min_position="
    assert api.get(f"{path}{placed['position']}").status_code == 200
    for position in (placed["position"] + 1, 2**63 - 1):
        assert_problem(api.get(f"{path}{position}"), 422, "not_recorded_yet")


def test_head_answers_as_get_does(api: Api) -> None:
    order_id = api.placed()["order_id"]
    for path in ("/v1/orders", f"/v1/orders/{order_id}", f"/v1/orders/{order_id}/history"):
        got, headed = api.get(path), api.call("HEAD", path)
        assert (headed.status_code, _headers(headed)) == (got.status_code, _headers(got))


def _listed(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["order_id"] for item in response.json()["items"]]


def _headers(response: httpx.Response) -> dict[str, str]:
    return {n: v for n, v in response.headers.items() if n != "x-correlation-id"}
