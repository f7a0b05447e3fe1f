"""`POST /v1/orders` on one command API process: token, validation, idempotency key, one line."""

from collections.abc import Sequence

from tests.bench.floors import POSTGRES_URL
from tests.bench.http_rate import answers_per_s, bearer, place_requests
from tests.bench.report import Bar, Row
from tests.bench.rounds import Effort, interleave
from tests.bench.stack import Stack

CREATED = 201


def measure(stack: Stack, effort: Effort) -> Sequence[Row]:
    platform = stack.platform()
    headers = bearer(stack.token("service", "my-shop"))
    stock = {POSTGRES_URL: platform.owner_url}
    with (
        stack.service("command-api", platform.settings) as ours,
        stack.floor("validates") as validates,
        stack.floor("stock_recorder", stock) as stock_recorder,
    ):
        ports = {
            "ours": ours.port,
            "FastAPI that only validates": validates,
            "FastAPI and the stock recorder": stock_recorder,
        }
        figures = interleave(
            {
                name: answers_per_s(port, lambda: place_requests(headers), expected=CREATED)
                for name, port in ports.items()
            },
            effort,
        )
    bars = [Bar("FastAPI that only validates", 0.45), Bar("FastAPI and the stock recorder", 4.0)]
    return [Row("POST /v1/orders", "answers/s", figures, bars)]
