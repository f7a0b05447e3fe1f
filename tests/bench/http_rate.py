"""HTTP contenders: requests for some seconds over keep-alive connections, as answers a second."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import uvloop

from tests.bench.http_load import drive, http_request
from tests.bench.orders import place_bodies
from tests.bench.rounds import Contender

CONNECTIONS = 64


def answers_per_s(
    port: int, requests: Callable[[], Iterable[bytes]], *, expected: int
) -> Contender:
    """Make the contender that sends these to a port. An answer of another status is an error."""

    def run(seconds: float) -> float:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            load = runner.run(
                drive(port, for_seconds(requests(), seconds), connections=CONNECTIONS)
            )
        if set(load.statuses) != {expected}:
            raise RuntimeError(f"port {port} answered {dict(load.statuses)}")
        return load.per_second

    return run


def for_seconds(requests: Iterable[bytes], seconds: float) -> Iterator[bytes]:
    stop_at = time.perf_counter() + seconds
    for request in requests:
        if time.perf_counter() > stop_at:
            return
        yield request


def place_requests(headers: Mapping[str, str]) -> Iterator[bytes]:
    """Write `POST /v1/orders`, without end, each an order of its own."""
    head: bytes | None = None
    for key, body in place_bodies():
        if head is None:  # all keys and bodies are of one length
            whole = {**headers, "Content-Type": "application/json", "Idempotency-Key": key}
            head = http_request("POST", "/v1/orders", headers=whole, body=body).removesuffix(body)
            head = head.replace(key.encode(), b"%b")
        yield head % key.encode() + body


def bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}
