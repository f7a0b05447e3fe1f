"""Forgetting and generations: nothing personal stays in one that is fed, or that is being built."""

import asyncio
from collections.abc import Sequence

import orjson
import psycopg
import pytest

from commands.order.change import Target
from commands.order.hold import hold_order
from domain.ids import CustomerId, OrderId
from infrastructure import composition
from infrastructure.rebuild import lifecycle
from infrastructure.rebuild.log import opened
from infrastructure.rebuild.run import Rebuild
from infrastructure.redis import forgetting, shard_keys, stored_document
from infrastructure.redis.refold import Refolded
from projections.order import document as projection
from tests.integration.pipeline.conftest import Pipeline
from tests.integration.pipeline.test_dead_letters import authorize, dead_letters, poisoned
from tests.integration.pipeline.test_forgetting import (
    SECRET,
    assert_moved,
    delete_key,
    everything_in_redis,
    finish,
    frozen,
    place,
)
from tests.integration.rebuild.conftest import open_parts, rebuilding
from tests.integration.rebuild.test_ghosts import PARTITIONS, fold_anew, verify
from tests.integration.rebuild.test_parked import stored, unable_to_show_payments
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


async def test_a_document_that_was_emptied_by_mistake_is_mended(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await place(pipeline, key="k")
        await asyncio.to_thread(pipeline.await_complete, placed.position)
    right = stored(pipeline, placed.order_id, 1)
    document = stored_document.to_document(right)
    assert document is not None
    value, _ = stored_document.encode(projection.forget(document))
    key = shard_keys.document_key(placed.order_id, PARTITIONS, 1)
    pipeline.redis.set(key, value)
    assert fold_anew(pipeline, placed.order_id) is Refolded.DIFFERENT
    assert stored(pipeline, placed.order_id, 1) == right
    # One who was forgotten stays so, though the reader knew the key.
    pipeline.redis.set(key, value)
    delete_key(pipeline)
    fold_anew(pipeline, placed.order_id)
    assert SECRET not in everything_in_redis(pipeline)


async def test_a_parked_order_that_says_so_shows_its_forgotten_customer_never_again(
    pipeline: Pipeline,
) -> None:
    with unable_to_show_payments(), pipeline.relay(), pipeline.projector():
        bad = (await place(pipeline, key="k")).order_id
        last = await authorize(pipeline, bad)
        await asyncio.to_thread(pipeline.await_complete, last.position)
        stale = frozen(pipeline, bad)
        await forget(pipeline)
        await asyncio.to_thread(pipeline.await_complete, last.position + 1)
        # The projector, which is in this process, has the key still.
        reader = pipeline.reader
        assert SECRET.decode() in repr(reader.open(reader.entries(bad)))
        emptied = stored(pipeline, bad, 1)

        last = await pipeline.cancel(bad)
        await asyncio.to_thread(pipeline.await_complete, last.position)
        assert fold_anew(pipeline, bad) is Refolded.PARKED
        assert stored(pipeline, bad, 1) == emptied
        assert_moved(pipeline, stale)
        assert await asyncio.to_thread(verify, pipeline) == []
        await run(pipeline)
        assert stored(pipeline, bad, 2) == emptied
        assert SECRET not in everything_in_redis(pipeline)


def put_in_the_clear(pipeline: Pipeline, order_id: OrderId, version: int, reason: bytes) -> None:
    """Make an event one that was stored before words were sealed."""
    with psycopg.connect(pipeline.store.postgres_url.get_secret_value()) as connection:
        entry = pipeline.reader.entries(order_id)[version - 1]
        state = orjson.loads(entry.state)
        del state["sealed"]
        state["data"]["reason"] = reason.decode()
        change = "UPDATE events SET state = %s WHERE order_id = %s AND originator_version = %s"
        connection.execute(change, [orjson.dumps(state), order_id, version])


async def test_a_parked_order_that_cannot_say_so_shows_its_forgotten_customer_never_again(
    pipeline: Pipeline,
) -> None:
    words = b"Eve is abroad"
    order_id = (await place(pipeline, key="k")).order_id
    await hold_order(Target(order_id), words.decode(), pipeline.request("h"), pipeline.ports)
    put_in_the_clear(pipeline, order_id, 2, words)
    last = await pipeline.cancel(order_id)
    with poisoned(pipeline, order_id, version=3), pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, last.position)
        assert words in everything_in_redis(pipeline)
        stale = frozen(pipeline, order_id)
        told, _ = await finish(pipeline, delete_key(pipeline))
        assert told.unreadable == [order_id]
        emptied = stored(pipeline, order_id, 1)

        # The projector, which is in this process, has the key still; another process has not.
        last = await authorize(pipeline, order_id)
        await asyncio.to_thread(pipeline.await_complete, last.position)
        reader = composition.order_reader(pipeline.store, pool_size=1)
        dead_letters(pipeline).retry(reader, [order_id])
        reader.close()
        assert stored(pipeline, order_id, 1) == emptied
        assert_moved(pipeline, stale)
        assert await asyncio.to_thread(verify, pipeline) == []
        await run(pipeline)
        assert stored(pipeline, order_id, 2) == emptied
        for secret in (SECRET, words):
            assert secret not in everything_in_redis(pipeline)


async def test_a_parked_order_that_a_killed_rebuild_has_built_is_emptied_as_a_fold_is(
    pipeline: Pipeline,
) -> None:
    def build() -> None:
        with rebuilding(pipeline) as one, opened(open_parts(pipeline).connect) as log:
            one.build(lifecycle.begin(pipeline.generations, log))

    def resume() -> None:
        with rebuilding(pipeline) as one:
            one.run(resume=True, accept=False)

    order_id = (await place(pipeline, key="k")).order_id
    last = await pipeline.cancel(order_id)
    with poisoned(pipeline, order_id), pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, last.position)
        await asyncio.to_thread(build)
        assert b"change_address" in stored(pipeline, order_id, 2).body
        orders = await forget(pipeline)
        assert forgetting.clear_elsewhere(pipeline.redis, pipeline.generations, orders) == 1
        await asyncio.to_thread(resume)
        assert stored(pipeline, order_id, 2) == stored(pipeline, order_id, 1)
    assert pipeline.generations.live() == 2
