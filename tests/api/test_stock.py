"""Stock over HTTP: who may say what about it, and what is read of it."""

from typing import Any

import pytest

from tests.api.api import Api, assert_problem

ITEM = {"sku": "85123A", "name": "Heart", "unit_price_minor": 255, "currency": "GBP", "on_hand": 10}


def stock(api: Api, sku: str = "85123A") -> dict[str, Any]:
    answer = api.get(f"/v1/stock-items/{sku}", role="merchant")
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


def test_an_item_is_listed_with_what_lies_there(api: Api) -> None:
    answer = api.post("/v1/stock-items", ITEM)
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/v1/stock-items/85123A"
    assert answer.json() | {"position": 0} == {
        "sku": "85123A",
        "location": "main",
        "version": 2,
        "position": 0,
        "on_hand": 10,
        "available": 10,
    }
    [level] = stock(api)["locations"]
    assert (level["name"], level["unit_price_minor"], level["allow_backorder"]) == (
        "Heart",
        255,
        False,
    )


def test_pieces_come_in_and_counts_are_put_right(api: Api) -> None:
    api.post("/v1/stock-items", ITEM)
    assert api.post("/v1/stock-items/85123A/receipts", {"quantity": 5}).json()["on_hand"] == 15
    wrong = {"change": -3, "reason_code": "damaged", "reason": "water"}
    assert api.post("/v1/stock-items/85123A/adjustments", wrong).json()["on_hand"] == 12
    assert stock(api)["available"] == 12


def test_backorders_stay_allowed_where_only_the_price_changes(api: Api) -> None:
    for said, allowed in (
        ({"allow_backorder": True}, True),
        ({}, True),
        ({"allow_backorder": False}, False),
    ):
        api.post("/v1/stock-items", {**ITEM, "unit_price_minor": 300, **said})
        assert stock(api)["locations"][0]["allow_backorder"] is allowed


def test_locations_add_up(api: Api) -> None:
    api.post("/v1/stock-items", ITEM)
    api.post("/v1/stock-items", {**ITEM, "location": "leeds", "on_hand": 4})
    read = stock(api)
    assert (read["on_hand"], [one["location"] for one in read["locations"]]) == (
        14,
        ["leeds", "main"],
    )


def test_a_sku_may_hold_a_slash_and_is_not_taken_for_another(api: Api) -> None:
    api.post("/v1/stock-items", {**ITEM, "sku": "A/B"})
    api.post("/v1/stock-items", {**ITEM, "sku": "A", "on_hand": 1})
    assert stock(api, "A%2FB")["on_hand"] == 10
    assert stock(api, "A")["on_hand"] == 1
    assert api.post("/v1/stock-items/A%2FB/receipts", {"quantity": 1}).json()["on_hand"] == 11


def test_a_repeated_receipt_counts_once(api: Api) -> None:
    api.post("/v1/stock-items", ITEM)
    for _ in range(2):
        again = api.post(
            "/v1/stock-items/85123A/receipts", {"quantity": 5}, headers={"Idempotency-Key": "r-1"}
        )
        assert again.json()["on_hand"] == 15
    assert stock(api)["on_hand"] == 15


@pytest.mark.parametrize("role", ["customer", "support", "auditor"])
def test_only_those_who_keep_stock_may_change_it(api: Api, role: str) -> None:
    assert api.post("/v1/stock-items", ITEM, role=role).status_code == 403


def test_customers_do_not_see_stock(api: Api) -> None:
    api.post("/v1/stock-items", ITEM)
    assert api.get("/v1/stock-items/85123A", role="customer").status_code == 403


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/receipts", {"quantity": 0}, "quantity_out_of_range"),
        ("/receipts", {"quantity": 10**18}, "quantity_out_of_range"),
        ("/receipts", {"quantity": 1, "location": "Not A Place"}, "bad_location"),
        ("/receipts", {"quantity": 1, "colour": "red"}, "invalid_request"),
        (
            "/adjustments",
            {"change": -11, "reason_code": "lost", "reason": "x"},
            "stock_below_zero",
        ),
        (
            "/adjustments",
            {"change": 1, "reason_code": "magic", "reason": "x"},
            "invalid_request",
        ),
    ],
)
def test_bad_input_changes_nothing(api: Api, path: str, body: Any, code: str) -> None:
    api.post("/v1/stock-items", ITEM)
    answer = api.post(f"/v1/stock-items/85123A{path}", body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert stock(api)["on_hand"] == 10


def test_an_item_that_nobody_listed_is_not_found(api: Api) -> None:
    assert api.get("/v1/stock-items/NONE", role="support").status_code == 404
    assert api.post("/v1/stock-items/NONE/receipts", {"quantity": 1}).status_code == 404


@pytest.mark.parametrize("control", ["%00", "%1F", "%7F", "%C2%9F"])
def test_a_control_character_names_no_item(api: Api, control: str) -> None:
    """The store isn't even asked: it would say 503, as PostgreSQL can't look for a NUL."""
    api.store.is_down = True
    path = f"/v1/stock-items/a{control}b"
    count = {"change": 1, "reason_code": "found", "reason": "x"}
    assert_problem(api.get(path, role="support"), 404, "stock_item_not_found")
    assert_problem(api.post(f"{path}/receipts", {"quantity": 1}), 404, "stock_item_not_found")
    assert_problem(api.post(f"{path}/adjustments", count), 404, "stock_item_not_found")
