"""Every call of an order's life: who may make it, what its key and its view stand for."""

from typing import Any

import pytest

from domain.ids import OrderId, payment_stream
from domain.payment.events import PaymentCaptured, PaymentCaptureRequested
from tests.api.api import Api, assert_problem
from tests.api.test_life import SCAN, WHY, dispatch, happened, order, pack, seen

__all__ = ["order"]

NOBODY = "01a2110e-eb3e-70c5-85fc-933321a6538c"
ONE = {"lines": [{"sku": "A", "quantity": 1}]}
BACK = {**ONE, **WHY}
ADDRESS = {"shipping_address": {"line1": "2 Low St", "city": "Leeds", "country": "GB"}}
OWN = {"role": "customer", "subject": "c-1"}

CHANGERS = {"customer", "merchant", "service"}
MERCHANTS = {"merchant"}
CALLS: dict[str, tuple[Any, set[str]]] = {
    "orders/{}/cancellations": (WHY, CHANGERS),
    "orders/{}/address-changes": (ADDRESS, CHANGERS),
    "orders/{}/revisions": (BACK, CHANGERS),
    "orders/{}/returns": (BACK, CHANGERS),
    "orders/{}/holds": (WHY, MERCHANTS),
    "orders/{}/hold-releases": (WHY, MERCHANTS),
    "orders/{}/shipments": (ONE, MERCHANTS),
    "shipments/{}/dispatches": ({"carrier": "dhl"}, MERCHANTS),
    "shipments/{}/events": (SCAN, MERCHANTS),
    "shipments/{}/cancellations": (WHY, MERCHANTS),
    "returns/{}/approvals": ({}, MERCHANTS),
    "returns/{}/receipts": (ONE, MERCHANTS),
    "returns/{}/cancellations": (WHY, CHANGERS),
}
ROLES = ("customer", "support", "merchant", "service", "auditor")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("call", CALLS)
def test_who_may_not_make_a_call_learns_nothing_by_it(api: Api, call: str, role: str) -> None:
    body, allowed = CALLS[call]
    answer = api.post(f"/v1/{call.format(NOBODY)}", body, role=role)
    if role in allowed:
        thing = call.partition("s/")[0]
        assert_problem(answer, 404, f"{thing}_not_found")
    else:
        assert_problem(answer, 403, "role_not_allowed")


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_id_is_not_found_as_what_is_not_there(api: Api, call: str) -> None:
    body, _ = CALLS[call]
    answers = [api.post(f"/v1/{call.format(name)}", body) for name in ("nonsense", NOBODY)]
    first, second = ({**one.json()} for one in answers)
    assert first == second


@pytest.mark.parametrize("call", CALLS)
def test_a_call_without_a_token_is_nobodys(api: Api, call: str) -> None:
    body, _ = CALLS[call]
    assert_problem(api.post(f"/v1/{call.format(NOBODY)}", body, role=None), 401, "token_missing")


@pytest.mark.parametrize("call", CALLS)
def test_a_call_says_nothing_that_is_not_known(api: Api, call: str) -> None:
    body, _ = CALLS[call]
    answer = api.post(f"/v1/{call.format(NOBODY)}", {**body, "color": "red"})
    assert assert_problem(answer, 422, "invalid_request")["errors"][0]["pointer"] == "/color"


def delivered(api: Api, order: OrderId) -> str:
    parcel = pack(api, order, A=3)
    dispatch(api, parcel)
    assert api.post(f"/v1/shipments/{parcel}/events", SCAN).status_code == 201
    return parcel


def asked_back(api: Api, order: OrderId) -> str:
    delivered(api, order)
    return str(api.post(f"/v1/orders/{order}/returns", BACK, **OWN).json()["return_id"])


def test_a_return_of_somebody_else_answers_as_one_that_is_not_there(
    api: Api, order: OrderId
) -> None:
    theirs, none = asked_back(api, order), NOBODY
    as_other = {"role": "customer", "subject": "c-2"}
    answers = [
        api.post(f"/v1/returns/{name}/cancellations", WHY, **as_other) for name in (theirs, none)
    ]
    assert answers[0].json() == answers[1].json()
    assert_problem(answers[0], 404, "return_not_found")
    assert api.post(f"/v1/returns/{theirs}/cancellations", WHY, **OWN).status_code == 201


def test_an_unpacked_parcel_gives_its_pieces_back_and_is_unpacked_once(
    api: Api, order: OrderId
) -> None:
    parcel = pack(api, order, A=3)
    path = f"/v1/shipments/{parcel}/cancellations"
    assert api.post(path, WHY).status_code == 201
    again = assert_problem(api.post(path, WHY), 409, "illegal_transition")
    assert again["actions"] == seen(api, order)["actions"]["merchant"]
    pack(api, order, A=3)


@pytest.mark.parametrize("call", ["shipments", "returns", "holds"])
def test_a_key_gives_its_first_answer_again_and_serves_one_order_and_one_body(
    api: Api, order: OrderId, call: str
) -> None:
    delivered(api, order)
    path = f"/v1/orders/{order}/{call}"
    key: dict[str, Any] = {"headers": {"Idempotency-Key": "once"}}
    bodies: dict[str, dict[str, Any]] = {
        "shipments": {"lines": [{"sku": "B", "quantity": 1}]},
        "returns": BACK,
        "holds": WHY,
    }
    first = api.post(path, bodies[call], **key)
    assert first.status_code == 201, first.text
    before = len(api.store.log)
    again = api.post(path, bodies[call], **key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    change: dict[str, Any] = {"lines": []} if call == "shipments" else {"reason": "other"}
    other = {**bodies[call], **change}
    assert_problem(api.post(path, other, **key), 422, "idempotency_key_reused")
    assert len(api.store.log) == before


def test_what_changes_nothing_names_the_view_that_the_caller_has(api: Api, order: OrderId) -> None:
    parcel = delivered(api, order)
    tag = api.get(f"/v1/orders/{order}", role="support").headers["ETag"]
    api.placed()  # the log goes on, elsewhere
    repeated = api.post(f"/v1/shipments/{parcel}/events", SCAN)
    assert (repeated.status_code, repeated.headers["ETag"]) == (201, tag)


@pytest.mark.parametrize("call", ["dispatches", "events", "cancellations"])
def test_a_stale_view_of_its_order_is_no_ground_to_move_a_parcel(
    api: Api, order: OrderId, call: str
) -> None:
    parcel = pack(api, order, A=1)
    body, _ = CALLS[f"shipments/{{}}/{call}"]
    stale = api.post(f"/v1/shipments/{parcel}/{call}", body, headers={"If-Match": '"1"'})
    assert_problem(stale, 412, "stale_view")


def test_a_stale_view_of_its_order_is_no_ground_to_give_money_back(
    api: Api, order: OrderId
) -> None:
    asked, taken = PaymentCaptureRequested(order, "p", 700), PaymentCaptured(order, "p", 700)
    happened(api, order, payment_stream(order), asked, taken)
    tag = api.get(f"/v1/orders/{order}", role="support").headers["ETag"]

    def give_back(key: str) -> Any:
        body = {"amount_minor": 100, "currency": "GBP", **WHY}
        headers = {"If-Match": tag, "Idempotency-Key": key}
        return api.post(f"/v1/payments/{order}/refunds", body, headers=headers)

    first = give_back("one")
    assert first.status_code == 202
    stale = assert_problem(give_back("another's"), 412, "stale_view")
    assert stale["position"] == first.json()["position"]
    again = give_back("one")
    assert (again.status_code, again.json()) == (202, first.json())


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"quantity": 2}, "quantity_above_remaining"),
        ({"quantity": 10**18}, "quantity_out_of_range"),
        ({"restock": 2}, "restock_out_of_range"),
        ({"restock": -1}, "restock_out_of_range"),
    ],
)
def test_no_more_comes_in_than_was_asked_back(
    api: Api, order: OrderId, line: dict[str, int], code: str
) -> None:
    name = asked_back(api, order)
    api.post(f"/v1/returns/{name}/approvals", {})
    body = {"lines": [{"sku": "A", "quantity": 1, **line}]}
    problem = assert_problem(api.post(f"/v1/returns/{name}/receipts", body), 422, code)
    assert problem["errors"][0]["pointer"] == f"/lines/0/{next(iter(line))}"


@pytest.mark.parametrize(
    ("quantity", "code"), [(4, "quantity_above_remaining"), (0, "quantity_out_of_range")]
)
def test_no_more_is_asked_back_than_arrived(
    api: Api, order: OrderId, quantity: int, code: str
) -> None:
    delivered(api, order)
    body = {"lines": [{"sku": "A", "quantity": quantity}], **WHY}
    problem = assert_problem(api.post(f"/v1/orders/{order}/returns", body, **OWN), 422, code)
    assert problem["errors"][0]["pointer"] == "/lines/0/quantity"
