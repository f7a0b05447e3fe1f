"""The two apps as one origin, over fakes; a test says who asks and what."""

import asyncio
import base64
import itertools
from collections.abc import Mapping
from typing import Any

import httpx
import orjson
from fastapi import FastAPI
from pydantic import SecretStr

from api.command_app import create_command_app
from api.http.auth import Authenticator
from api.order.state import CommandState, QueryState
from api.query_app import create_query_app
from commands.ports import Ports
from infrastructure.carriers.generic import GenericWebhooks
from infrastructure.event_store.stock_levels import EventStoreStockLevels
from projections.ports import QueryPorts
from tests.fakes.event_store import CountedNames, InMemoryEventStore, SystemClock
from tests.fakes.gateway import WebhookGateway
from tests.fakes.order_views import InMemoryOrderHistory, InMemoryOrderViews
from tests.fakes.tokens import AUDIENCE, ISSUER, Issuer

ORDER: Mapping[str, Any] = {
    "external_reference": "536365",
    "currency": "GBP",
    "customer": {
        "id": "c-17850",
        "name": "Ada Byron",
        "email": "ada@example.com",
        "phone": "+441632960000",
    },
    "lines": [
        {
            "sku": "85123A",
            "name": "White hanging heart",
            "quantity": 6,
            "unit_price_minor": 255,
        },
        {"sku": "71053", "name": "White metal lantern", "quantity": 2, "unit_price_minor": 339},
    ],
    "shipping_minor": 499,
    "discount_minor": 0,
    "tax_minor": 0,
    "shipping_address": {
        "name": "Ada Byron",
        "line1": "1 High St",
        "city": "London",
        "postal_code": "N1 1AA",
        "country": "GB",
    },
    "payment_token": "tok_visa",
    "fulfilment": "elsewhere",
}
JSON = {"Content-Type": "application/json"}
CARRIER_SECRET = "whsec_" + base64.b64encode(bytes(24)).decode()
READS = ("GET", "HEAD", "OPTIONS")


class Api:
    """Attributes: checks: what each part answers to a readiness check; an exception is raised."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._keys = itertools.count()
        self.store = InMemoryEventStore()
        self.views = InMemoryOrderViews(self.store)
        self.past = InMemoryOrderHistory(self.store)
        self.gateway = WebhookGateway()
        self.issuer = Issuer()
        self.checks: dict[str, Exception | None] = dict.fromkeys(("postgres", "redis", "kafka"))
        authenticator = Authenticator(self.issuer.jwks, issuer=ISSUER, audience=AUDIENCE)
        checks = {name: self._check(name) for name in self.checks}
        self.command_app = create_command_app(
            CommandState(
                Ports(self.store, SystemClock(), CountedNames()),
                self.gateway,
                {"generic": GenericWebhooks(SecretStr(CARRIER_SECRET))},
                authenticator,
                checks,
            )
        )
        self.query_app = create_query_app(
            QueryState(
                QueryPorts(self.views, self.past, EventStoreStockLevels(self.store)),
                authenticator,
                checks,
            )
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        role: str | None = "service",
        subject: str = "shop",
        headers: Mapping[str, str] | None = None,
        content: Any = None,
    ) -> httpx.Response:
        """Send one request, to the app that the edge would choose."""
        sent = dict(headers or {})
        if role is not None:
            sent.setdefault("Authorization", f"Bearer {self.issuer.token(role, subject)}")
        app = self.query_app if method in READS else self.command_app
        return self._runner.run(_send(app, method, path, sent, content))

    def ask(self, app: FastAPI, path: str) -> httpx.Response:
        """Ask one app without a token, whatever the edge would choose."""
        return self._runner.run(_send(app, "GET", path, {}, None))

    def get(self, path: str, **rest: Any) -> httpx.Response:
        return self.call("GET", path, **rest)

    def place(
        self, body: Any = ORDER, *, key: str | None = None, raw: bytes | None = None, **rest: Any
    ) -> httpx.Response:
        """Place an order, under a new idempotency key unless one is given."""
        headers = {
            **JSON,
            "Idempotency-Key": key or f"key-{next(self._keys)}",
            **rest.pop("headers", {}),
        }
        content = orjson.dumps(body) if raw is None else raw
        return self.call("POST", "/v1/orders", headers=headers, content=content, **rest)

    def post(
        self, path: str, body: Any, *, role: str | None = "merchant", **rest: Any
    ) -> httpx.Response:
        """Send one command with a body."""
        headers = {**JSON, **rest.pop("headers", {})}
        return self.call(
            "POST", path, role=role, headers=headers, content=orjson.dumps(body), **rest
        )

    def cancel(
        self, order_id: str, body: Any = None, *, raw: bytes | None = None, **rest: Any
    ) -> httpx.Response:
        body = {"reason": "changed my mind"} if body is None else body
        return self.call(
            "POST",
            f"/v1/orders/{order_id}/cancellations",
            headers={**JSON, **rest.pop("headers", {})},
            content=orjson.dumps(body) if raw is None else raw,
            **rest,
        )

    def placed(self, **changes: Any) -> dict[str, Any]:
        """Place an order that must succeed, with no reference unless given, and show it."""
        response = self.place({**ORDER, "external_reference": None, **changes})
        assert response.status_code == 201, response.text
        self.views.catch_up()
        answer: dict[str, Any] = response.json()
        return answer

    def _check(self, name: str) -> Any:
        async def check() -> None:
            failure = self.checks[name]
            if isinstance(failure, TimeoutError):
                await asyncio.sleep(60)
            if failure is not None:
                raise failure

        return check


async def _send(
    app: FastAPI, method: str, path: str, headers: Mapping[str, str], content: Any
) -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, headers=headers, content=content)


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Hold a response to RFC 9457 and to ours."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"urn:ordertrail:problem:{code}"
    assert problem["title"]
    assert response.headers["x-correlation-id"]
    return problem
