"""Rebuilds of a platform that is used: nobody notices, whoever is killed meanwhile.

The short form takes some seconds; ORDERTRAIL_REBUILD_DRILL_S asks for a longer one, and
ORDERTRAIL_ROLLBACK_DRILL_ORDERS for more orders between a flip and its rollback.
"""

import asyncio
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.local.ports import free_port
from infrastructure.local.program import running
from infrastructure.local.service import Service
from infrastructure.redis.generations import Generations
from tests.chaos.load import traffic
from tests.consistency import assert_consistent, count, partitions_of, redis_of
from tests.live_platform import CLI, LivePlatform
from tests.shop import Shop, an_order

ORDERS_PER_S = 200
DRILL_S = float(os.environ.get("ORDERTRAIL_REBUILD_DRILL_S", "6"))
LATER_ORDERS = int(os.environ.get("ORDERTRAIL_ROLLBACK_DRILL_ORDERS", "400"))
STAGES = ("building", "catching up", "handing over", "checking")


def live_generation(platform: LivePlatform) -> int:
    with redis_of(platform.settings) as client:
        return Generations(client, partitions_of(platform.settings)).live()


@pytest.fixture
def second_query_api(platform: LivePlatform, tmp_path: Path) -> Iterator[str]:
    service = Service("query-api", free_port(), platform.settings)
    with running(service, tmp_path / "query-api.log"):
        yield f"http://127.0.0.1:{service.port}"


async def test_nobody_notices_a_rebuild_a_flip_or_a_rollback(
    platform: LivePlatform, draw: random.Random, second_query_api: str
) -> None:
    before = live_generation(platform)
    urls = ("", second_query_api)
    async with traffic(platform, draw, per_s=ORDERS_PER_S, reading=urls) as shop:
        await asyncio.sleep(DRILL_S / 3)
        rebuilt = await asyncio.to_thread(platform.run, "rebuild")
        assert rebuilt.returncode == 0, rebuilt.stderr
        flipped = live_generation(platform)
        await shop.read_all()
        await asyncio.sleep(DRILL_S / 3)
        back = await asyncio.to_thread(platform.run, "rebuild", "--rollback")
        assert back.returncode == 0, back.stderr
        await asyncio.sleep(DRILL_S / 3)
    assert_consistent(platform.settings)
    assert flipped > before == live_generation(platform)
    assert len(shop.seen.placed) > ORDERS_PER_S
    print(shop.seen)  # noqa: T201 - for the one who reads why it failed
    assert shop.seen.faults == []
    assert [kind for kind in shop.seen.refusals if kind.startswith("read")] == []


async def test_a_rollback_many_orders_later_is_complete(
    platform: LivePlatform, draw: random.Random, second_query_api: str
) -> None:
    before = live_generation(platform)
    rebuilt = await asyncio.to_thread(platform.run, "rebuild")
    assert rebuilt.returncode == 0, rebuilt.stderr
    flipped = live_generation(platform)
    urls = ("", second_query_api)
    async with traffic(platform, draw, per_s=ORDERS_PER_S, reading=urls) as shop:
        await shop.until_placed(LATER_ORDERS)
        back = await asyncio.to_thread(platform.run, "rebuild", "--rollback")
        assert back.returncode == 0, back.stderr
        await shop.read_all()
    print(shop.seen)  # noqa: T201 - for the one who reads why it failed
    assert flipped > before == live_generation(platform)
    assert shop.seen.faults == []
    assert [kind for kind in shop.seen.refusals if kind.startswith("read")] == []
    assert_consistent(platform.settings)
    verified = platform.run("rebuild", "--verify")
    assert verified.returncode == 0, verified.stdout


@pytest.mark.parametrize("stage", STAGES)
def test_a_rebuild_killed_in_any_stage_changes_nothing_and_is_gone_on_with(
    platform: LivePlatform, shop: Shop, stage: str
) -> None:
    placed = [shop.place(an_order(f"c-{n}")) for n in range(30)]
    before = live_generation(platform)
    _begin_and_kill(platform, stage)
    assert live_generation(platform) == before
    shop.cancel(placed[0]["order_id"])
    assert_consistent(platform.settings)
    refused = platform.run("rebuild")
    assert (refused.returncode, "--resume" in refused.stderr) == (1, True)

    resumed = platform.run("rebuild", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert live_generation(platform) > before
    shop.cancel(placed[1]["order_id"])
    assert_consistent(platform.settings)


def _begin_and_kill(platform: LivePlatform, stage: str) -> None:
    """Rebuild slowly, and SIGKILL the command once it says that it is at a stage."""
    slowly = str(max(1, count(platform.settings).events // 2))
    command = [*CLI, "rebuild", "--accept", "--throttle", slowly]
    with subprocess.Popen(
        command, env=platform.environment, stderr=subprocess.PIPE, text=True
    ) as rebuild:
        assert rebuild.stderr is not None
        said = []
        for line in rebuild.stderr:
            said.append(line)
            if line.startswith(stage):
                break
        else:
            raise AssertionError(said)
        rebuild.send_signal(signal.SIGKILL)


def test_a_redis_killed_in_the_middle_of_a_rebuild_is_built_into_all_the_same(
    platform: LivePlatform, shop: Shop
) -> None:
    placed = [shop.place(an_order(f"c-{n}")) for n in range(30)]
    before = live_generation(platform)
    slowly = str(max(1, count(platform.settings).events // 2))
    with subprocess.Popen(
        [*CLI, "rebuild", "--throttle", slowly],
        env=platform.environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as rebuild:
        assert rebuild.stderr is not None
        assert rebuild.stderr.readline() == "building ...\n"
        platform.kill("redis")
        platform.await_ready("redis")
        rest = rebuild.stderr.read()
    if rebuild.returncode != 0:  # it may give up, plainly
        assert "Traceback" not in rest
        resumed = platform.run("rebuild", "--resume")
        assert resumed.returncode == 0, resumed.stderr
    assert live_generation(platform) > before
    shop.cancel(placed[0]["order_id"])
    assert_consistent(platform.settings)
