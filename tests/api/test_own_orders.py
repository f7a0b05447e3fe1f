"""Customers order for themselves: at the catalog's prices, and nothing else is theirs to say."""

from typing import Any

import pytest

from tests.api.api import Api

ITEM = {"sku": "85123A", "name": "Heart", "unit_price_minor": 255, "currency": "GBP", "on_hand": 10}
OWN: dict[str, Any] = {
    "currency": "GBP",
    "customer": {"name": "Ada Byron", "email": "ada@example.com"},
    "lines": [{"sku": "85123A", "quantity": 2}],
    "shipping_address": {"line1": "1 High St", "city": "London", "country": "GB"},
    "payment_token": "tok_visa",
}


def place(api: Api, body: Any, **rest: Any) -> Any:
    return api.place(body, role="customer", subject="c-1", **rest)


def test_the_catalog_sets_the_price_and_the_name(api: Api) -> None:
    api.post("/v1/stock-items", ITEM)
    placed = place(api, OWN)
    assert placed.status_code == 201, placed.text
    order = api.get(placed.headers["Location"], role="customer", subject="c-1").json()
    assert order["customer"]["id"] == "c-1"
    assert order["money"]["total_minor"] == 510
    assert [(line["name"], line["unit_price_minor"]) for line in order["lines"]] == [("Heart", 255)]


def test_the_price_that_the_customer_was_shown_must_be_the_price(api: Api) -> None:
    api.post("/v1/stock-items", ITEM)
    shown = {**OWN, "lines": [{"sku": "85123A", "quantity": 2, "unit_price_minor": 1}]}
    refused = place(api, shown)
    assert (refused.status_code, refused.json()["code"]) == (422, "price_changed")
    assert refused.json()["errors"][0]["pointer"] == "/lines/0/unit_price_minor"
    assert refused.json()["unit_price_minor"] == 255


def test_a_retry_gets_the_first_answer_though_the_price_has_changed(api: Api) -> None:
    api.post("/v1/stock-items", ITEM)
    shown = {**OWN, "lines": [{"sku": "85123A", "quantity": 2, "unit_price_minor": 255}]}
    first = place(api, shown, key="k-1")
    api.post("/v1/stock-items", {**ITEM, "unit_price_minor": 300})
    again = place(api, shown, key="k-1")
    assert (again.status_code, again.json()) == (201, first.json())


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"lines": [{"sku": "NONE", "quantity": 1}]}, 422, "unknown_sku"),
        ({"currency": "EUR"}, 422, "currency_mismatch"),
        ({"lines": []}, 422, "no_lines"),
        ({"lines": [{"sku": "85123A", "quantity": 0}]}, 422, "quantity_out_of_range"),
        ({"discount_minor": 500}, 422, "invalid_request"),
        ({"customer": {"id": "c-2"}}, 422, "invalid_request"),
        ({"fulfilment": "elsewhere"}, 422, "invalid_request"),
        ({"payment_token": None}, 422, "invalid_request"),
        ({"placed_at": "2020-01-01T00:00:00Z"}, 422, "invalid_request"),
    ],
)
def test_what_is_not_theirs_to_say_is_refused(
    api: Api, change: Any, status: int, code: str
) -> None:
    api.post("/v1/stock-items", ITEM)
    refused = place(api, {**OWN, **change})
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert len(api.store.log) == 2  # the item, and its pieces
