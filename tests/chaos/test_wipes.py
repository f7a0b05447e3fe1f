"""Kafka and Redis hold nothing of their own: wiped, they are filled again from the log."""

import asyncio
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from infrastructure.local.kafka import KafkaServer
from tests.chaos.conftest import Drill
from tests.chaos.extent import extent
from tests.consistency import assert_consistent, count
from tests.live_platform import LivePlatform
from tests.shop import Shop, an_order

LONGEST_PAUSE_S = 1.0
TIMES = extent(1, 4)


def _wipe(platform: LivePlatform, server: str) -> Callable[[], None]:
    """Give a step for just before a kill: the data is out of reach of the next start at once."""

    def wipe() -> None:
        data = platform.home.path / server
        gone = Path(f"{data}.gone")
        data.rename(gone)
        shutil.rmtree(gone)

    return wipe


def _cluster_id(platform: LivePlatform) -> str:
    return KafkaServer(platform.home.path / "kafka", 0, 0).cluster_id()


async def test_a_kafka_killed_and_wiped_while_orders_come_in_is_published_to_from_the_beginning(
    platform: LivePlatform, drill: Drill, draw: random.Random
) -> None:
    before = _cluster_id(platform)
    async with drill():
        for _ in range(TIMES):
            await asyncio.sleep(draw.uniform(0.2, LONGEST_PAUSE_S))
            await asyncio.to_thread(platform.kill, "kafka", _wipe(platform, "kafka"))
            await asyncio.to_thread(platform.await_ready, "kafka")
        await asyncio.sleep(1)
    assert _cluster_id(platform) != before


async def test_a_redis_flushed_while_orders_come_in_is_filled_again(
    drill: Drill, draw: random.Random, flush_redis: Callable[[], None]
) -> None:
    async with drill():
        for _ in range(2 * TIMES):
            await asyncio.sleep(draw.uniform(0.2, LONGEST_PAUSE_S))
            await asyncio.to_thread(flush_redis)
        await asyncio.sleep(1)


async def test_a_redis_killed_and_wiped_while_orders_come_in_is_filled_again(
    platform: LivePlatform, drill: Drill, draw: random.Random
) -> None:
    async with drill():
        for _ in range(TIMES):
            await asyncio.sleep(draw.uniform(0.2, LONGEST_PAUSE_S))
            await asyncio.to_thread(platform.kill, "redis", _wipe(platform, "redis"))
            await asyncio.to_thread(platform.await_ready, "redis")
        await asyncio.sleep(1)


def test_kafka_and_redis_deleted_while_the_platform_is_down_are_filled_again(
    platform: LivePlatform, shop: Shop
) -> None:
    placed = [shop.place(an_order(f"c-{n}")) for n in range(20)]
    before = count(platform.settings)
    platform.down()
    for server in ("kafka", "redis"):
        shutil.rmtree(platform.home.path / server)
    platform.up()
    cancelled = shop.cancel(placed[0]["order_id"])
    after = assert_consistent(platform.settings)
    assert (after.orders, after.events) == (before.orders, before.events + 1)
    assert shop.read(cancelled["order_id"], cancelled["position"]).json()["status"] == "cancelled"
