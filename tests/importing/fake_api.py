"""The write API in memory: keys, references and cancellations work as in design/http.md."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from domain.order.decisions import LARGEST_QUANTITY


class MachineDiedError(Exception):
    """The import is killed; as an exception that it knows nothing of."""


@dataclass
class StoredOrder:
    order_id: str
    body: dict[str, object]
    cancelled: dict[int, int] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


@dataclass
class FakeApi:
    """Attributes: `before` sees each request first and may answer it instead, or raise."""

    orders: dict[str, StoredOrder] = field(default_factory=dict)
    answers: dict[tuple[str, str], tuple[str, dict[str, object]]] = field(default_factory=dict)
    before: Callable[[httpx.Request], httpx.Response | None] = lambda _request: None
    after: Callable[[httpx.Request], None] = lambda _request: None
    posts: int = 0
    position: int = 0

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.MockTransport(self._handle), base_url="http://ordertrail.test"
        )

    def state(self) -> dict[str, tuple[str, dict[int, int], list[str]]]:
        """Give what stands, without ids and positions, which depend on who was faster."""
        return {
            reference: (json.dumps(order.body, sort_keys=True), order.cancelled, order.reasons)
            for reference, order in self.orders.items()
        }

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.posts += 1
        early = self.before(request)
        for _ in range(self.posts % 5):  # so that answers overtake each other
            await asyncio.sleep(0)
        if early is not None:
            return early
        answer = self._answer(request)
        self.after(request)
        return answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        route = "order" if request.url.path == "/v1/orders" else "cancellation"
        key = (route, request.headers["Idempotency-Key"])
        fingerprint = request.url.path + json.dumps(body, sort_keys=True)
        if key in self.answers:
            known, document = self.answers[key]
            if known != fingerprint:
                return problem(422, "idempotency_key_reused")
            return httpx.Response(201, json=document, headers={"Idempotent-Replayed": "true"})
        order_id = request.url.path.split("/")[3] if route == "cancellation" else None
        stored = self._place(body) if order_id is None else self._cancel(order_id, body)
        if isinstance(stored, httpx.Response):
            return stored
        self.position += 1
        document = {"order_id": stored.order_id, "position": self.position}
        self.answers[key] = fingerprint, document
        return httpx.Response(201, json=document)

    def _place(self, body: dict[str, object]) -> StoredOrder | httpx.Response:
        reference = str(body["external_reference"])
        if reference in self.orders:
            return problem(409, "external_reference_taken")
        self.orders[reference] = StoredOrder(f"order-{len(self.orders)}", body)
        return self.orders[reference]

    def _cancel(self, order_id: str, body: dict[str, object]) -> StoredOrder | httpx.Response:
        [order] = [order for order in self.orders.values() if order.order_id == order_id]
        placed, wanted = order.body["lines"], body["lines"]
        assert isinstance(placed, list)
        assert isinstance(wanted, list)
        for line in wanted:
            number = line["line_number"]
            assert placed[number - 1]["sku"] == line["sku"]
            left = placed[number - 1]["quantity"] - order.cancelled.get(number, 0)
            if line["quantity"] > min(left, LARGEST_QUANTITY):
                return problem(409, "quantity_above_remaining")
        for line in wanted:
            number = line["line_number"]
            order.cancelled[number] = order.cancelled.get(number, 0) + line["quantity"]
        order.reasons.append(str(body["reason"]))
        return order


def problem(status: int, code: str) -> httpx.Response:
    return httpx.Response(
        status, json={"status": status, "code": code}, headers={"Retry-After": "0"}
    )


def kill_once(api: FakeApi, at: int, *, after: bool) -> None:
    """Die at the n-th request: before the API sees it, or after it did and before the answer."""
    seen = 0

    def die(_request: httpx.Request) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            raise MachineDiedError

    if after:
        api.after = die
    else:
        api.before = die
