"""A server that hangs: its connections stay open and nothing answers (SIGSTOP); or is gone."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import httpx
import pytest

from tests.chaos.extent import extent
from tests.consistency import assert_consistent
from tests.live_platform import LivePlatform
from tests.shop import Shop, an_order

KAFKA_S, REDIS_S, POSTGRES_S = extent(10.0, 75.0), extent(7.0, 30.0), extent(7.0, 30.0)
SOON_S = 1.0
READ_WITHIN_S = 5.0
CALLERS = 12


@pytest.fixture(autouse=True)
def consistent_afterwards(platform: LivePlatform) -> Iterator[None]:
    yield
    platform.await_ready("relay", "projector")
    assert_consistent(platform.settings)


def _checks(platform: LivePlatform, service: str) -> tuple[int, str, dict[str, str]]:
    """Ask a service of its own readiness: status, its word, what it says of each part."""
    url = f"http://127.0.0.1:{platform.process(service)['port']}/readyz"
    answer = httpx.get(url, trust_env=False, timeout=10)
    return answer.status_code, answer.json()["status"], answer.json()["checks"]


def _until(seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield
        time.sleep(0.2)


def _timed(call: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    return call(), time.monotonic() - began


def _assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("away", [LivePlatform.frozen, LivePlatform.gone], ids=["hangs", "gone"])
def test_while_kafka_is_away_commands_succeed_and_single_reads_are_right(
    platform: LivePlatform,
    shop: Shop,
    away: Callable[[LivePlatform, str], AbstractContextManager[None]],
) -> None:
    with away(platform, "kafka"):
        for _ in _until(KAFKA_S):
            began = time.monotonic()
            placed = shop.place()
            cancelled = shop.cancel(placed["order_id"])
            assert time.monotonic() - began < SOON_S
            own = {"min_position": cancelled["position"]}
            answer, took_s = _timed(
                lambda: shop.client.get(f"/v1/orders/{placed['order_id']}", params=own)  # noqa: B023
            )
            assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
            assert answer.headers["order-view"] == "event-store"
            assert took_s < SOON_S
            assert shop.client.get("/v1/orders").status_code == 200
        for service in ("command-api", "query-api"):
            status, word, checks = _checks(platform, service)
            assert (status, word, checks["kafka"]) == (200, "degraded", "down")
    assert shop.read(placed["order_id"], cancelled["position"]).json()["status"] == "cancelled"


def test_while_redis_hangs_single_reads_come_from_the_log_and_lists_say_when_to_come_back(
    platform: LivePlatform, shop: Shop
) -> None:
    known = [shop.place() for _ in range(CALLERS)]
    shop.read(known[-1]["order_id"], known[-1]["position"])

    def read(order_id: str) -> tuple[httpx.Response, float]:
        return _timed(lambda: shop.client.get(f"/v1/orders/{order_id}"))

    slowest_s = 0.0
    with platform.frozen("redis"), ThreadPoolExecutor(CALLERS) as pool:
        until = time.monotonic() + REDIS_S
        while time.monotonic() < until:
            placed = shop.place()
            # Side by side: nobody may have to wait for another's time-out too.
            for answer, took_s in pool.map(read, [one["order_id"] for one in known[1:]]):
                slowest_s = max(slowest_s, took_s)
                assert answer.status_code == 200, answer.text
                assert answer.headers["order-view"] == "event-store"
            own = shop.client.get(
                f"/v1/orders/{placed['order_id']}", params={"min_position": placed["position"]}
            )
            assert own.json()["position"] == placed["position"]
            listed, took_s = _timed(lambda: shop.client.get("/v1/orders"))
            slowest_s = max(slowest_s, took_s)
            _assert_unavailable(listed)
        status, word, checks = _checks(platform, "query-api")
        assert (status, word, checks["redis"]) == (200, "degraded", "down")
    print(f"slowest {slowest_s:.2f} s")  # noqa: T201
    assert slowest_s < READ_WITHIN_S
    assert shop.read(placed["order_id"], placed["position"]).status_code == 200
    assert shop.client.get("/v1/orders").status_code == 200


def test_while_postgresql_hangs_reads_come_from_redis_and_commands_are_late_or_refused(
    platform: LivePlatform, shop: Shop
) -> None:
    known = shop.place()
    shop.read(known["order_id"], known["position"])

    def place(number: int) -> tuple[dict[str, object], str, httpx.Response, float]:
        body, key = an_order(), f"hang-{known['order_id']}-{number}"
        answer, took_s = _timed(
            lambda: shop.client.post("/v1/orders", json=body, headers={"Idempotency-Key": key})
        )
        return body, key, answer, took_s

    with ThreadPoolExecutor(CALLERS) as pool:
        with platform.frozen("postgres"):
            placing = [pool.submit(place, number) for number in range(CALLERS)]
            for _ in _until(POSTGRES_S):
                answer, took_s = _timed(lambda: shop.client.get(f"/v1/orders/{known['order_id']}"))
                assert (answer.status_code, answer.headers["order-view"]) == (200, "redis")
                assert took_s < SOON_S
            assert shop.client.get("/v1/orders").status_code == 200
            status, word, checks = _checks(platform, "command-api")
            assert (status, word, checks["postgres"]) == (503, "unavailable", "down")
            status, word, checks = _checks(platform, "query-api")
            assert (status, word, checks["postgres"]) == (200, "degraded", "down")
        answered = [one.result() for one in placing]
    print([(answer.status_code, round(took_s, 1)) for *_, answer, took_s in answered])  # noqa: T201

    for body, key, answer, _ in answered:
        if answer.status_code != 201:
            _assert_unavailable(answer)
        again = shop.place(dict(body), **{"Idempotency-Key": key})
        if answer.status_code == 201:
            assert again == answer.json()
        assert shop.read(again["order_id"], again["position"]).status_code == 200
