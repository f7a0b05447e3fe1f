"""`GET /v1/orders/{id}` from Redis on one query API process, by customers who own the orders."""

from collections.abc import Sequence
from itertools import cycle

import redis

from tests.bench.floors import BODY_BYTES, REDIS_URL
from tests.bench.http_load import http_request
from tests.bench.http_rate import answers_per_s, bearer
from tests.bench.report import Bar, Row
from tests.bench.rounds import Effort, interleave
from tests.bench.stack import Platform, Stack
from tests.bench.views import Shown, show_orders

ORDERS = 2_000
OK = 200
FASTAPI, BARE, REDIS = "FastAPI constant", "bare ASGI constant", "FastAPI and redis.asyncio"


def measure(stack: Stack, effort: Effort) -> Sequence[Row]:
    platform = stack.platform()
    shown = show_orders(platform, ORDERS)
    redis_url = platform.settings["ORDERTRAIL_REDIS_URL"]
    size = {BODY_BYTES: str(len(shown[0].body))}
    with (
        stack.service("query-api", platform.settings) as ours,
        stack.floor("constant", size) as constant,
        stack.floor("bare_constant", size) as bare,
        stack.floor("redis_get", {REDIS_URL: redis_url}) as redis_get,
    ):
        owned = by_owner(stack, shown)
        keyed = _by_key(platform, shown)
        figures = interleave(
            {
                "ours": answers_per_s(ours.port, lambda: cycle(owned), expected=OK),
                FASTAPI: answers_per_s(constant, lambda: cycle(owned), expected=OK),
                BARE: answers_per_s(bare, lambda: cycle(owned), expected=OK),
                REDIS: answers_per_s(redis_get, lambda: cycle(keyed), expected=OK),
            },
            effort,
        )
    bars = [Bar(FASTAPI, 1.0), Bar(BARE, 0.6), Bar(REDIS, 2.0)]
    notes = {"bytes of one body": float(len(shown[0].body))}
    return [Row("GET /v1/orders/{id}", "answers/s", figures, bars, notes)]


def by_owner(stack: Stack, shown: Sequence[Shown]) -> Sequence[bytes]:
    """Ask for each order with the token of its customer."""
    tokens = {one.customer_id: stack.token("customer", one.customer_id) for one in shown}
    return [
        http_request("GET", f"/v1/orders/{one.order_id}", headers=bearer(tokens[one.customer_id]))
        for one in shown
    ]


def _by_key(platform: Platform, shown: Sequence[Shown]) -> Sequence[bytes]:
    """Put the bare bodies under short keys, and ask for those."""
    client = redis.from_url(platform.settings["ORDERTRAIL_REDIS_URL"])
    for one in shown:
        client.set(f"body/{one.order_id}", one.body)
    client.close()
    return [http_request("GET", f"/v1/orders/body/{one.order_id}", headers={}) for one in shown]
