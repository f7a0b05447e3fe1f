"""Copies of a forgotten customer's documents: in the wrong shard, in no fed generation, damaged."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from domain.ids import CustomerId
from infrastructure.redis import forgetting, shard_keys, stored_document
from infrastructure.redis.shard import ShardWriter
from tests.integration.pipeline.conftest import Pipeline
from tests.integration.pipeline.test_dead_letters import dead_letters, poisoned
from tests.integration.pipeline.test_forgetting import (
    SECRET,
    UNFED,
    delete_key,
    everything_in_redis,
    finish,
    place,
)


def _garbled(value: bytes) -> bytes:
    return b"?" + value


def _without_a_header(value: bytes) -> bytes:
    return value[: stored_document.POSITION_DIGITS] + value.partition(b"\n")[2]


def _of_another_shape(value: bytes) -> bytes:
    head, _, body = value.partition(b"\n")
    return head + b'\n{"customer":' + body + b"}"


@pytest.mark.parametrize("damage", [bytes, _garbled, _without_a_header, _of_another_shape])
async def test_copies_are_cleared_wherever_they_lie_and_whatever_they_have_become(
    pipeline: Pipeline, damage: Callable[[bytes], bytes]
) -> None:
    with pipeline.relay(), pipeline.projector():
        one = await place(pipeline, key="k1")
        other = await place(pipeline, CustomerId("c-ada"), key="k2", name="Ada Byron")
        await asyncio.to_thread(pipeline.await_complete, other.position)
    own = shard_keys.partition_of(one.order_id, 6)
    elsewhere = ShardWriter(pipeline.redis, (own + 1) % 6)
    places = [(ShardWriter(pipeline.redis, own), n) for n in (shard_keys.FIRST_GENERATION, UNFED)]
    places += [(elsewhere, shard_keys.FIRST_GENERATION), (elsewhere, UNFED)]
    keys = [key for shard, n in places for key in shard.keys(n, [one.order_id])]
    value: Any = pipeline.redis.get(keys[0])
    for key in keys:
        pipeline.redis.set(key, damage(bytes(value)))
    orders = delete_key(pipeline)
    assert set(forgetting.leftovers(pipeline.redis, orders)) == set(keys)

    await finish(pipeline, orders)
    assert forgetting.clear_elsewhere(pipeline.redis, pipeline.generations, orders) == 3
    assert list(forgetting.leftovers(pipeline.redis, orders)) == []
    assert SECRET not in everything_in_redis(pipeline)
    assert not pipeline.redis.exists(*keys[2:])
    assert pipeline.assert_views_equal_folds() == 2


async def test_a_key_of_another_type_is_none_of_ours_and_goes(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        one = await place(pipeline, key="k1")
        await asyncio.to_thread(pipeline.await_complete, one.position)
    own = shard_keys.partition_of(one.order_id, 6)
    shards = [ShardWriter(pipeline.redis, n % 6) for n in (own, own + 1)]
    keys = [shard.keys(shard_keys.FIRST_GENERATION, [one.order_id])[0] for shard in shards]
    for key in keys:
        pipeline.redis.delete(key)
        pipeline.redis.hset(key, "name", SECRET)
    orders = delete_key(pipeline)
    await finish(pipeline, orders)
    assert forgetting.clear_elsewhere(pipeline.redis, pipeline.generations, orders) == 1
    assert SECRET not in everything_in_redis(pipeline)
    assert pipeline.assert_views_equal_folds() == 1


async def test_the_damaged_document_of_a_parked_order_goes_and_its_note_stays(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        bad = await place(pipeline, key="k1")
        await asyncio.to_thread(pipeline.await_complete, bad.position)
    await pipeline.cancel(bad.order_id)
    with poisoned(pipeline, bad.order_id):
        with pipeline.relay(), pipeline.projector():
            await asyncio.to_thread(pipeline.await_complete, 2)
        [before] = dead_letters(pipeline).all()
        key = shard_keys.document_key(bad.order_id, 6, shard_keys.FIRST_GENERATION)
        value: Any = pipeline.redis.get(key)
        pipeline.redis.set(key, _garbled(bytes(value)))
        await finish(pipeline, delete_key(pipeline))
        assert SECRET not in everything_in_redis(pipeline)
        assert list(dead_letters(pipeline).all()) == [before]
    await finish(pipeline, [bad.order_id])
    dead_letters(pipeline).retry(pipeline.reader, [bad.order_id])
    assert pipeline.assert_views_equal_folds() == 1
