"""A projector that the group has forgotten joins it anew, and is not ready before it has a share.

Seen once after Kafka had hung for 10 s: a projector that called itself ready waited for its
partitions for minutes, until it was killed.
"""

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import redis
from redis.exceptions import RedisError

from infrastructure.local.ports import LOOPBACK, free_port
from infrastructure.processes import projector
from infrastructure.processes.projector import NotAssignedError
from infrastructure.processes.worker import Health

from .conftest import Pipeline
from .test_pipeline import place_some
from .test_stock_topic import published

WITHIN_S = 30.0


async def until(condition: Callable[[], bool]) -> None:
    def wait() -> None:
        end = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.05)

    await asyncio.to_thread(wait)


async def test_a_projector_without_an_answer_from_the_group_starts_over(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Less time than any group takes to answer.
    monkeypatch.setattr(projector, "POLL_S", 0.001)
    monkeypatch.setattr(projector, "ASSIGNED_WITHIN_S", 0.0)
    with pipeline.relay(), pipeline.projector() as health:
        last = await place_some(pipeline, 3)
        await until(lambda: any(isinstance(one, NotAssignedError) for one in pipeline.faults))
        assert health.problem is not None
        monkeypatch.undo()
        await asyncio.to_thread(pipeline.await_complete, last)
        assert health.problem is None

    assert pipeline.assert_views_equal_folds() == 3


async def test_a_projector_that_is_one_too_many_is_ready_with_nothing(pipeline: Pipeline) -> None:
    with pipeline.relay(), ExitStack() as projectors:
        members = pipeline.kafka.order_partitions + 1
        healths = [projectors.enter_context(pipeline.projector()) for _ in range(members)]
        last = await place_some(pipeline, 6)
        await asyncio.to_thread(pipeline.await_complete, last)
        await until(lambda: all(health.problem is None for health in healths))


async def test_a_projector_without_redis_leaves_no_threads_behind(pipeline: Pipeline) -> None:
    """Kafka's clients have threads, and each try has clients of its own."""
    with pipeline.relay():
        await place_some(pipeline, 1)
        await asyncio.to_thread(published, pipeline, pipeline.kafka.order_topic, 1)
    with closing(redis.Redis(host=LOOPBACK, port=free_port())) as nowhere:
        tried = projector.Projector(pipeline.kafka, nowhere, pipeline.reader)

        def threads_after_a_try() -> int:
            with pytest.raises(RedisError):
                tried.work(threading.Event(), Health())
            gc.collect()
            return len(list(Path("/proc/self/task").iterdir()))

        first = await asyncio.to_thread(threads_after_a_try)
        for _ in range(3):
            last = await asyncio.to_thread(threads_after_a_try)
        assert last <= first
