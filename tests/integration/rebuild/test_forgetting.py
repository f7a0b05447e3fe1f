"""Forgetting and generations: nothing personal stays in one that is fed, or that is being built."""

import asyncio
from collections.abc import Sequence

import pytest

from domain.ids import CustomerId, OrderId
from infrastructure.rebuild.run import Rebuild
from infrastructure.redis import forgetting
from tests.integration.pipeline.conftest import Pipeline
from tests.integration.pipeline.test_forgetting import (
    SECRET,
    delete_key,
    everything_in_redis,
    finish,
    place,
)
from tests.integration.rebuild.test_rebuild import run

OTHER = CustomerId("c-ada")


async def forget(pipeline: Pipeline) -> Sequence[OrderId]:
    orders = delete_key(pipeline)
    await finish(pipeline, orders)
    return orders


async def test_the_generation_that_one_may_roll_back_to_forgets_too(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        await place(pipeline, key="k1")
        last = await place(pipeline, OTHER, key="a", name="Ada Byron")
        await asyncio.to_thread(pipeline.await_complete, last.position)
        shown = everything_in_redis(pipeline).count(SECRET)
        await run(pipeline)
        assert everything_in_redis(pipeline).count(SECRET) == 2 * shown
        orders = await forget(pipeline)
        await asyncio.to_thread(pipeline.await_complete, last.position + 1)
    assert SECRET not in everything_in_redis(pipeline)
    assert list(forgetting.leftovers(pipeline.redis, orders)) == []


async def test_a_customer_forgotten_while_the_next_generation_is_built_is_not_in_it(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pipeline.relay(), pipeline.projector():
        await place(pipeline, key="k1")
        last = await place(pipeline, OTHER, key="a", name="Ada Byron")
        await asyncio.to_thread(pipeline.await_complete, last.position)
        shown = everything_in_redis(pipeline).count(SECRET)
        loop, hand_over = asyncio.get_running_loop(), Rebuild.hand_over

        def forget_first(self: Rebuild, *arguments: object) -> object:
            """What was built before holds the name still: the log is caught up with after this."""
            assert everything_in_redis(pipeline).count(SECRET) == 2 * shown
            asyncio.run_coroutine_threadsafe(forget(pipeline), loop).result(30)
            return hand_over(self, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(Rebuild, "hand_over", forget_first)
        await run(pipeline)
        await asyncio.to_thread(pipeline.await_complete, last.position + 1)
    assert pipeline.generations.live() == 2
    assert SECRET not in everything_in_redis(pipeline)
