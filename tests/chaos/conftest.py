"""One platform for all drills: each ends with everything consistent, and the next begins there."""

import os
import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import pytest

from projections.order.document import OrderDocument
from tests.chaos.load import Traffic, traffic
from tests.consistency import Agreed, assert_consistent, count, order_reader, redis_of
from tests.live_platform import LivePlatform, live_platform
from tests.shop import Shop

Drill: TypeAlias = Callable[[], AbstractAsyncContextManager[Traffic]]


@pytest.fixture(scope="package")
def seed(request: pytest.FixtureRequest) -> str:
    """Draw a seed, or take ORDERTRAIL_CHAOS_SEED, so that a run can be repeated."""
    drawn = os.environ.get("ORDERTRAIL_CHAOS_SEED") or secrets.token_hex(4)
    request.config.get_terminal_writer().line(f"\nORDERTRAIL_CHAOS_SEED={drawn}")
    return drawn


@pytest.fixture
def draw(seed: str, request: pytest.FixtureRequest) -> random.Random:
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    with live_platform(tmp_path_factory.mktemp("chaos") / "home") as started:
        yield started


@pytest.fixture(scope="package")
def shop(platform: LivePlatform) -> Iterator[Shop]:
    with platform.caller("service", "my-shop") as client:
        yield Shop(client)


@pytest.fixture
def drill(platform: LivePlatform, draw: random.Random) -> Drill:
    """Give traffic for the length of a block, after which all that it was told must hold."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Traffic]:
        before = count(platform.settings)
        async with traffic(platform, draw) as started:
            yield started
        after = assert_consistent(platform.settings)
        print(started.seen)  # noqa: T201 - for the one who reads why it failed
        assert started.seen.faults == []
        _assert_kept(platform, started, before, after)

    return start


def _assert_kept(platform: LivePlatform, told: Traffic, before: Agreed, after: Agreed) -> None:
    """Every acknowledged order is there exactly once, and every cancellation."""
    placed = {answer["order_id"] for _, answer in told.seen.placed.values()}
    assert len(placed) == len(told.seen.placed)
    assert after.orders - before.orders == len(placed)
    assert after.events - before.events == len(placed) + len(told.seen.cancelled)
    with order_reader(platform.settings) as reader:
        found = {str(order_id): order_id for order_id in reader.order_ids()}
        assert placed <= set(found)
        folds = reader.fold_many([found[one] for one in told.seen.cancelled])
    for fold in folds.values():
        assert isinstance(fold, OrderDocument)
        assert fold.body["status"] == "cancelled"


@pytest.fixture
def flush_redis(platform: LivePlatform) -> Callable[[], None]:
    def flush() -> None:
        with redis_of(platform.settings) as client:
            client.flushall()

    return flush
