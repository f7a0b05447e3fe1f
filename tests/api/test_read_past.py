"""The past over HTTP: as of a time or a position, what changed since, and histories by page."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from api.order.documents import OrderDifferenceDocument
from tests.api.api import Api, assert_problem


@pytest.fixture
def order(api: Api) -> str:
    """Place an order at position 1, cancel a piece of it at 2, and all of it at 3."""
    order_id: str = api.placed()["order_id"]
    api.cancel(order_id, {"reason": "damaged", "lines": [{"sku": "85123A", "quantity": 2}]})
    api.cancel(order_id)
    api.views.catch_up()
    return f"/v1/orders/{order_id}"


def at(api: Api, position: int) -> str:
    return api.store.log[position - 1].recorded_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_an_order_is_shown_as_it_was_at_a_position_and_at_a_time(api: Api, order: str) -> None:
    for query in ("at_position=2", f"as_of={at(api, 2)}"):
        response = api.get(f"{order}?{query}")
        assert response.status_code == 200, response.text
        assert response.headers["etag"] == '"2"'
        assert response.headers["order-view"] == "event-store"
        shown = response.json()
        assert (shown["status"], shown["lines"][0]["cancelled"]) == ("pending", 2)
    assert api.get(f"{order}?at_position=3").content == api.get(order).content
    unchanged = api.get(f"{order}?at_position=2", headers={"If-None-Match": '"2"'})
    assert unchanged.status_code == 304


def test_before_it_was_placed_there_is_no_order(api: Api, order: str) -> None:
    assert_problem(api.get(f"{order}?at_position=0"), 404, "order_not_found")
    assert_problem(api.get(f"{order}?as_of=2010-12-01T08:26:00Z"), 404, "order_not_found")
    assert_problem(api.get(f"/v1/orders/{uuid4()}?at_position=1"), 404, "order_not_found")


def test_what_changed_is_told_between_two_points_and_until_now(api: Api, order: str) -> None:
    some = api.get(f"{order}?diff_from=1&at_position=2").json()
    assert (some["from_position"], some["to_position"]) == (1, 2)
    assert {
        "op": "replace",
        "path": "/lines/0/cancelled",
        "from": 0,
        "to": 2,
    } in some["changes"]
    OrderDifferenceDocument.model_validate(some)
    until_now = api.get(f"{order}?diff_from={at(api, 2)}").json()
    assert (until_now["from_position"], until_now["to_position"]) == (2, 3)
    from_nothing = api.get(f"{order}?diff_from=2010-12-01T08:26:00Z&at_position=1").json()
    assert from_nothing["from_position"] is None
    assert from_nothing["changes"][0]["path"] == ""
    assert from_nothing["changes"][0]["to"] == api.get(f"{order}?at_position=1").json()
    assert api.get(f"{order}?diff_from=3").json()["changes"] == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("as_of=2010", "as_of"),
        ("as_of=2010-12-01", "as_of"),
        ("as_of=2010-12-01T08:26:00", "as_of"),
        ("as_of=", "as_of"),
        ("at_position=-1", "at_position"),
        (f"at_position={2**63}", "at_position"),
        ("diff_from=x", "diff_from"),
        (f"diff_from={2**63}", "diff_from"),
        ("diff_from=" + "9" * 5000, "diff_from"),
        ("at_position=1&as_of=2010-12-01T08:26:00Z", "at_position"),
        ("at_position=1&min_position=1", "min_position"),
        ("at_position=1&at_position=2", "at_position"),
        ("at_position=1&diff_from=1&%61t_position=1", "at_position"),
        ("diff_from=1&min_position=1", "min_position"),
    ],
)
def test_a_point_that_makes_no_sense_is_named(api: Api, order: str, query: str, named: str) -> None:
    problem = assert_problem(api.get(f"{order}?{query}"), 422, "invalid_request")
    assert [error["parameter"] for error in problem["errors"]] == [named]


def test_what_lies_beyond_the_log_is_refused(api: Api, order: str) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for query in ("at_position=4", f"as_of={tomorrow}", "diff_from=4", f"diff_from={tomorrow}"):
        assert_problem(api.get(f"{order}?{query}"), 422, "not_recorded_yet")
    assert_problem(api.get(f"{order}?diff_from=3&at_position=1"), 422, "points_reversed")


@pytest.mark.parametrize("query", ["at_position=1", "diff_from=0"])
def test_the_past_is_for_the_same_readers_and_for_auditors_without_personal_data(
    api: Api, order: str, query: str
) -> None:
    for role in ("support", "merchant", "service"):
        assert "ada@example.com" in api.get(f"{order}?{query}", role=role).text
    own = api.get(f"{order}?{query}", role="customer", subject="c-17850")
    assert "ada@example.com" in own.text
    other: Any = {"role": "customer", "subject": "c-1"}
    for asked in (query, "diff_from=3&at_position=1"):  # a refusal would tell that there is one
        assert_problem(api.get(f"{order}?{asked}", **other), 404, "order_not_found")
    audited = api.get(f"{order}?{query}", role="auditor")
    assert audited.status_code == 200
    assert "[sealed]" in audited.text
    assert "ada@example.com" not in audited.text
    assert_problem(api.get(f"{order}?{query}", role=None), 401, "token_missing")


@pytest.mark.parametrize("query", ["", "?min_position=1", "?min_position=x"])
def test_an_auditor_sees_no_order_as_it_is_now(api: Api, order: str, query: str) -> None:
    assert api.get(f"{order}{query}", role="auditor").status_code in (403, 422)
    assert "ada@example.com" not in api.get(f"{order}{query}", role="auditor").text
    assert_problem(api.get(f"{order}?min_position=1", role="auditor"), 403, "role_not_allowed")


def test_a_history_says_who_when_why_and_what_changed(api: Api, order: str) -> None:
    items = api.get(f"{order}/history").json()["items"]
    assert [item["reason"] for item in items] == [None, "damaged", "changed my mind"]
    assert items[0]["changes"] == [{"op": "add", "path": ""}]
    assert items[2]["changes"][0]["path"] == "/status"
    assert all(item["command_id"] == item["causation_id"] for item in items)


def test_a_history_is_walked_to_its_end_without_loss_or_repeat(api: Api, order: str) -> None:
    whole = api.get(f"{order}/history").json()
    assert whole["next_cursor"] is None
    items, cursor = [], ""
    for _ in range(3):
        page = api.get(f"{order}/history?limit=1{cursor}").json()
        items += page["items"]
        cursor = f"&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    assert items == whole["items"]


def test_a_parameter_of_a_history_that_is_given_twice_is_named(api: Api, order: str) -> None:
    problem = assert_problem(api.get(f"{order}/history?limit=1&limit=2"), 422, "invalid_request")
    assert [error["parameter"] for error in problem["errors"]] == ["limit"]


def test_a_cursor_is_good_only_for_the_history_that_it_is_from(api: Api, order: str) -> None:
    cursor = api.get(f"{order}/history?limit=1").json()["next_cursor"]
    other = f"/v1/orders/{api.placed()['order_id']}/history"
    listed = api.get("/v1/orders?limit=1").json()["next_cursor"]
    for path in (
        f"{other}?cursor={cursor}",
        f"{order}/history?cursor={listed}",
        f"{order}/history?cursor=",
        f"/v1/orders?cursor={cursor}",
    ):
        assert_problem(api.get(path), 422, "bad_cursor")


def test_the_past_asks_to_come_back_where_it_cannot_be_read(api: Api, order: str) -> None:
    for path in (f"{order}?at_position=1", f"{order}?diff_from=1", f"{order}/history"):
        api.past.reads_allowed = False
        assert_problem(api.get(path), 503, "too_many_folds")
        api.past.reads_allowed = True
        api.store.is_down = True
        assert_problem(api.get(path), 503, "store_unavailable")
        api.store.is_down = False
