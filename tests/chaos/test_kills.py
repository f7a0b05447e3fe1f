"""SIGKILL of every process, one after the other, each at a random moment, while orders come in."""

import asyncio
import random

from tests.chaos.conftest import Drill
from tests.chaos.extent import extent
from tests.live_platform import LivePlatform

VICTIMS = ("relay", "projector", "kafka", "redis", "postgres", "command-api", "query-api")
SERVERS = ("kafka", "redis", "postgres")
LONGEST_PAUSE_S = 1.0
ROUNDS = extent(1, 5)


async def test_no_acknowledged_order_is_lost_doubled_or_seen_older_whoever_is_killed(
    platform: LivePlatform, drill: Drill, draw: random.Random
) -> None:
    victims = [one for _ in range(ROUNDS) for one in draw.sample(VICTIMS, len(VICTIMS))]
    async with drill() as traffic:
        for victim in victims:
            await asyncio.sleep(draw.uniform(0.2, LONGEST_PAUSE_S))
            await asyncio.to_thread(platform.kill, victim)
            if victim in SERVERS:
                await asyncio.to_thread(platform.await_ready, victim)
            print(f"killed {victim}: {traffic.seen}")  # noqa: T201
        await asyncio.sleep(1)
    assert len(traffic.seen.placed) > 100


async def test_no_acknowledged_order_is_lost_when_four_are_killed_at_once(
    platform: LivePlatform, drill: Drill, draw: random.Random
) -> None:
    async with drill():
        for _ in range(ROUNDS):
            await asyncio.sleep(draw.uniform(0.2, LONGEST_PAUSE_S))
            victims = draw.sample([name for name in VICTIMS if name != "kafka"], 4)
            await asyncio.gather(*(asyncio.to_thread(platform.kill, name) for name in victims))
            await asyncio.to_thread(platform.await_ready, *victims)
        await asyncio.sleep(1)
