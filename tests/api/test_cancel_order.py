from uuid import uuid4

import pytest

from commands.ports import StreamUnreadableError
from tests.api.api import Api, assert_problem

TWICE = [
    {"sku": "A", "name": "first", "quantity": 3, "unit_price_minor": 100},
    {"sku": "A", "name": "second", "quantity": 3, "unit_price_minor": 90},
]


def test_a_pending_order_is_cancelled_whole(api: Api) -> None:
    placed = api.placed()
    response = api.cancel(placed["order_id"])
    assert response.status_code == 201
    answer = response.json()
    assert answer["status"] == "cancelled"
    assert answer["order_number"] == placed["order_number"]
    assert response.headers["etag"] == f'"{answer["position"]}"'
    assert_problem(api.cancel(placed["order_id"]), 409, "illegal_transition")


def test_a_cancellation_says_why_in_a_word_that_can_be_counted(api: Api) -> None:
    silent, told = (api.placed()["order_id"] for _ in range(2))
    api.cancel(silent, {"reason": "no words"})
    api.cancel(told, {"reason": "not them", "reason_code": "fraud"})
    assert_problem(api.cancel(told, {"reason": "r", "reason_code": "x"}), 422, "invalid_request")
    api.views.catch_up()
    shown = [api.get(f"/v1/orders/{order_id}").json() for order_id in (silent, told)]
    assert [one["cancel_reason"] for one in shown] == ["other", "fraud"]


def test_pieces_of_a_line_are_cancelled_by_sku_and_line_number(api: Api) -> None:
    order_id = api.placed(lines=TWICE)["order_id"]
    lines = [{"sku": "A", "quantity": 1}]
    problem = assert_problem(
        api.cancel(order_id, {"reason": "r", "lines": lines}), 422, "ambiguous_sku"
    )
    assert problem["line_numbers"] == [1, 2]
    assert problem["errors"][0]["pointer"] == "/lines/0/line_number"
    lines = [{"sku": "A", "quantity": 1, "line_number": 2}]
    assert api.cancel(order_id, {"reason": "r", "lines": lines}).json()["status"] == "pending"
    api.views.catch_up()
    shown = api.get(f"/v1/orders/{order_id}").json()
    assert [line["cancelled"] for line in shown["lines"]] == [0, 1]


def test_a_customer_cancels_their_own_order_and_knows_of_no_other(api: Api) -> None:
    order_id = api.placed()["order_id"]
    missing = api.cancel(str(uuid4()), role="customer", subject="c-1")
    anothers = api.cancel(order_id, role="customer", subject="c-1")
    assert_problem(anothers, 404, "order_not_found")
    assert anothers.content == missing.content
    assert api.cancel(order_id, role="customer", subject="c-17850").status_code == 201


@pytest.mark.parametrize(
    ("role", "status"), [("merchant", 201), ("support", 403), ("auditor", 403)]
)
def test_merchants_cancel_and_those_who_only_read_do_not(api: Api, role: str, status: int) -> None:
    assert api.cancel(api.placed()["order_id"], role=role).status_code == status


def test_a_repeated_cancellation_gives_the_first_answer_again(api: Api) -> None:
    order_id = api.placed()["order_id"]
    first = api.cancel(order_id, headers={"Idempotency-Key": "k"})
    again = api.cancel(order_id, headers={"Idempotency-Key": "k"})
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"


def test_a_key_that_was_used_for_another_order_is_refused(api: Api) -> None:
    first, second = api.placed()["order_id"], api.placed()["order_id"]
    api.cancel(first, headers={"Idempotency-Key": "k"})
    response = api.cancel(second, headers={"Idempotency-Key": "k"})
    assert_problem(response, 422, "idempotency_key_reused")


@pytest.mark.parametrize("tag", ['"0"', '"99"', 'W/"1"', '"other"', '""', '"' + "9" * 40 + '"'])
def test_a_decision_on_an_old_view_is_refused(api: Api, tag: str) -> None:
    response = api.cancel(api.placed()["order_id"], headers={"If-Match": tag})
    assert assert_problem(response, 412, "stale_view")["position"] == 1


@pytest.mark.parametrize("tag", ['"1"', "*", " * "])
def test_a_decision_on_the_current_view_is_taken(api: Api, tag: str) -> None:
    order_id = api.placed()["order_id"]
    assert api.cancel(order_id, headers={"If-Match": tag}).status_code == 201


@pytest.mark.parametrize("tag", ["1", '"1', '"1", "2"', "w/x", ""])
def test_a_malformed_if_match_is_a_400(api: Api, tag: str) -> None:
    response = api.cancel(api.placed()["order_id"], headers={"If-Match": tag})
    assert_problem(response, 400, "if_match_malformed")


def test_an_order_that_keeps_changing_is_given_up_on(api: Api) -> None:
    order_id = api.placed()["order_id"]
    api.store.conflicts = 4
    assert api.cancel(order_id).status_code == 201
    order_id = api.placed()["order_id"]
    api.store.conflicts = 5
    assert_problem(api.cancel(order_id), 409, "too_much_contention")


@pytest.mark.parametrize("name", ["x", "0", "{uuid}", "%00", "urn:uuid:" + "0" * 32])
def test_what_is_no_uuid_names_no_order(api: Api, name: str) -> None:
    assert_problem(api.cancel(name), 404, "order_not_found")


def test_an_order_that_this_version_cannot_read_is_a_503(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = api.placed()

    async def load_all(*_: object) -> None:
        raise StreamUnreadableError("order.eaten.v1 at position 2: UnknownEventTypeError")

    monkeypatch.setattr(api.store, "load_all", load_all)
    response = api.cancel(placed["order_id"])
    assert_problem(response, 503, "order_parked")
    assert "eaten" not in response.text


def test_so_many_lines_as_no_order_has_are_refused_before_they_are_compared(api: Api) -> None:
    lines = [{"sku": "A", "quantity": 1}] * 1001
    response = api.cancel(api.placed()["order_id"], {"reason": "r", "lines": lines})
    problem = assert_problem(response, 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/lines"


def test_a_service_may_say_when_it_was_cancelled_and_nobody_else(api: Api) -> None:
    order_id = api.placed(placed_at="2010-12-01T08:26:00Z")["order_id"]
    body = {"reason": "r", "cancelled_at": "2011-01-06T14:00:00Z"}
    for role in ("customer", "merchant"):
        assert_problem(
            api.cancel(order_id, body, role=role, subject="c-17850"), 403, "role_not_allowed"
        )
    future = api.cancel(order_id, body | {"cancelled_at": "2999-01-01T00:00:00Z"})
    assert_problem(future, 422, "cancelled_in_the_future")
    assert api.cancel(order_id, body).status_code == 201
    api.views.catch_up()
    [*_, last] = api.get(f"/v1/orders/{order_id}").json()["timeline"]
    assert last["at"].startswith("2011-01-06T14:00:00")
