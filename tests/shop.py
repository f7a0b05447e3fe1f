"""A shop's back end as a client of the edge: it places orders of its own making."""

import copy
import secrets
from typing import Any

import httpx

Body = dict[str, Any]
ORDER: Body = {
    "currency": "GBP",
    "lines": [
        {"sku": "85123A", "name": "White hanging heart", "quantity": 6, "unit_price_minor": 255},
        {"sku": "71053", "name": "White metal lantern", "quantity": 2, "unit_price_minor": 339},
    ],
    "shipping_minor": 499,
}


def an_order(customer_id: str = "c-17850", **changes: Any) -> Body:
    """Write the body of an order with everything personal that one can have."""
    return {
        **copy.deepcopy(ORDER),
        "external_reference": secrets.token_hex(8),
        "customer": {
            "id": customer_id,
            "name": "Ada Byron",
            "email": "ada@example.com",
            "phone": "+441632960000",
        },
        "shipping_address": {
            "name": "Ada Byron",
            "line1": "1 High St",
            "city": "London",
            "postal_code": "N1 1AA",
            "country": "GB",
        },
        "payment_token": "tok_visa",
        "fulfilment": "elsewhere",
        **changes,
    }


class Shop:
    """What it asserts is that it succeeded; refusals are asked for with `client`."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def place(self, body: Body | None = None, **headers: str) -> Body:
        answer = self.client.post(
            "/v1/orders",
            json=body or an_order(),
            headers={"Idempotency-Key": secrets.token_hex(8), **headers},
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def cancel(self, order_id: str, body: Body | None = None) -> Body:
        answer = self.client.post(
            f"/v1/orders/{order_id}/cancellations", json=body or {"reason": "changed my mind"}
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def read(self, order_id: str, position: int) -> httpx.Response:
        """Read an order once Redis has it at `position`; anything else is a failure."""
        answer = self.client.get(
            f"/v1/orders/{order_id}",
            params={"min_position": position},
            headers={"Prefer": "wait=10"},
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers["order-view"] == "redis"
        return answer

    def list_ids(self, position: int, **filters: str) -> list[str]:
        """List orders, page by page, once the lists are as of `position`."""
        ids: list[str] = []
        page: Body = {"next_cursor": None}
        while not ids or page["next_cursor"] is not None:
            cursor = {} if page["next_cursor"] is None else {"cursor": page["next_cursor"]}
            answer = self.client.get("/v1/orders", params={"limit": 3, **filters, **cursor})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            if page["as_of_position"] < position:
                ids, page = [], {"next_cursor": None}
                continue
            if not page["items"]:
                break
            ids += [item["order_id"] for item in page["items"]]
        return ids
