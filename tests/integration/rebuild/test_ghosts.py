"""A document of an order that the log has no event of is named, and can be removed."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from domain.ids import OrderId
from infrastructure.rebuild.catch_up import StalledError
from infrastructure.rebuild.run import ChangedError
from infrastructure.redis import shard_keys, stored_document
from infrastructure.redis.refold import Refolded, refold, remove_misplaced
from infrastructure.redis.shard import DocumentMovedError
from tests.integration.pipeline.conftest import Pipeline
from tests.integration.rebuild.conftest import rebuilding
from tests.integration.rebuild.test_rebuild import place_some, run

PARTITIONS = 6


def haunt(pipeline: Pipeline, of: OrderId, generation: int, *, own_lists: bool = True) -> OrderId:
    """Put a document of an order that never was into the shard of one that is; give its id."""
    partition = shard_keys.partition_of(of, PARTITIONS)
    others = (OrderId(UUID(int=of.int ^ n)) for n in range(1, 1_000))
    ghost = next(one for one in others if shard_keys.partition_of(one, PARTITIONS) == partition)
    value: Any = pipeline.redis.get(shard_keys.document_key(of, PARTITIONS, generation))
    if own_lists:
        value = value.replace(str(of).encode(), str(ghost).encode())
    pipeline.redis.set(shard_keys.document_key(ghost, PARTITIONS, generation), value)
    header = stored_document.decode(value).header
    if own_lists:
        for name in header.lists:
            key = shard_keys.list_key(partition, generation, name)
            pipeline.redis.zadd(key, {header.sort_key: 0})
    return ghost


def fold_anew(pipeline: Pipeline, order_id: OrderId) -> Refolded:
    shard = pipeline.generations.shards[shard_keys.partition_of(order_id, PARTITIONS)]
    return refold(pipeline.reader, shard, order_id)


def verify(pipeline: Pipeline) -> list[str]:
    with rebuilding(pipeline) as one:
        return [str(found) for found in one.verify().wrong.named]


async def test_a_document_that_no_event_stands_behind_is_named_and_removed(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 9)
    ghost = haunt(pipeline, answers[1].order_id, 1)
    assert await asyncio.to_thread(verify, pipeline) == [f"{ghost}: has a document, and no event"]

    assert fold_anew(pipeline, ghost) is Refolded.REMOVED

    assert await asyncio.to_thread(verify, pipeline) == []
    assert pipeline.assert_views_equal_folds() == 9
    assert fold_anew(pipeline, ghost) is Refolded.UNKNOWN


async def test_removing_one_takes_nothing_of_another_order_that_its_header_names(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 9)
    ghost = haunt(pipeline, answers[1].order_id, 1, own_lists=False)
    assert fold_anew(pipeline, ghost) is Refolded.REMOVED
    assert await asyncio.to_thread(verify, pipeline) == []


@pytest.mark.parametrize("name", ["", "no-id", "ABCDEF00-0000-4000-8000-000000000000"])
async def test_a_document_under_no_orders_id_is_named(pipeline: Pipeline, name: str) -> None:
    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 3)
    pipeline.redis.set(f"{shard_keys.generation_prefix(2, 1)}document:{name}", b"whatever")
    named = f"{name!r} has a document, and is no order's id"
    assert await asyncio.to_thread(verify, pipeline) == [named]


async def test_what_is_of_another_type_is_named_and_stops_no_rebuild(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 3)
        order_id = answers[0].order_id
        partition = shard_keys.partition_of(order_id, PARTITIONS)
        document = shard_keys.document_key(order_id, PARTITIONS, 1)
        pipeline.redis.delete(document)
        pipeline.redis.hset(document, "what", "ever")
        pipeline.redis.set(shard_keys.list_key(partition, 1, "all"), "whatever")
        found = await asyncio.to_thread(verify, pipeline)
        assert f"{order_id}: the document is missing" in found
        assert "(what is no list) stands in the list all without reason" in found
        with pytest.raises(ChangedError):
            await run(pipeline)

        def accept() -> None:
            with rebuilding(pipeline) as one:
                one.run(resume=True, accept=True)

        await asyncio.to_thread(accept)
        assert pipeline.assert_views_equal_folds() == 3


async def test_a_list_entry_in_another_place_is_named_and_put_back(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a score an entry lies before or behind all others; without, lists go by the entry."""
    monkeypatch.setattr("infrastructure.rebuild.strays.AT_A_TIME", 2)
    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 2 * PARTITIONS + 1)
    lists = [shard_keys.list_key(partition, 1, "all") for partition in range(PARTITIONS)]
    longest = max(lists, key=pipeline.redis.zcard)
    newest: Any = pipeline.redis.zrange(longest, -1, -1)
    order_id = OrderId(UUID(newest[0][-36:].decode()))
    pipeline.redis.zadd(longest, {newest[0]: -5})
    assert sorted(await asyncio.to_thread(verify, pipeline)) == [
        "(an entry with a score) stands in the list all without reason",
        f"{order_id}: is not in each of its lists",
    ]

    assert fold_anew(pipeline, order_id) is Refolded.UNLISTED

    assert await asyncio.to_thread(verify, pipeline) == []
    assert pipeline.redis.zrange(longest, -1, -1) == newest


async def test_what_is_not_even_text_is_named(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 3)
    pipeline.redis.set(
        f"{shard_keys.generation_prefix(2, 1)}document:".encode() + b"\xff", b"whatever"
    )
    pipeline.redis.zadd(shard_keys.list_key(3, 1, "all"), {b"\xff\xfe": 0})
    assert sorted(await asyncio.to_thread(verify, pipeline)) == [
        r"'\\xff' has a document, and is no order's id",
        r"\xff\xfe stands in the list all without reason",
    ]


async def test_a_document_in_the_wrong_shard_is_named_and_removed(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 3)
    order_id = answers[0].order_id
    value: Any = pipeline.redis.get(shard_keys.document_key(order_id, PARTITIONS, 1))
    wrong = (shard_keys.partition_of(order_id, PARTITIONS) + 1) % PARTITIONS
    pipeline.redis.set(f"{shard_keys.generation_prefix(wrong, 1)}document:{order_id}", value)
    named = f"{order_id}: is in shard {wrong}, where nobody looks for it"
    assert await asyncio.to_thread(verify, pipeline) == [named]

    shards = pipeline.generations.shards
    assert remove_misplaced(shards, order_id)

    assert await asyncio.to_thread(verify, pipeline) == []
    assert pipeline.assert_views_equal_folds() == 3
    assert not remove_misplaced(shards, order_id)


async def test_it_is_removed_from_every_generation_that_is_fed(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 6)
        await run(pipeline)
    ghosts = {haunt(pipeline, answers[1].order_id, generation) for generation in (1, 2)}
    [ghost] = ghosts
    assert fold_anew(pipeline, ghost) is Refolded.REMOVED
    assert pipeline.redis.keys(f"*{ghost}*") == []


async def test_a_rebuild_names_what_it_would_make_go_away_and_stops_before_it(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 9)
        ghost = haunt(pipeline, answers[1].order_id, 1)
        with pytest.raises(ChangedError) as stopped:
            await run(pipeline)
        [named] = map(str, stopped.value.found.named)
        assert named.startswith(f"{ghost}: what is read now has a document of it that no event")
        assert pipeline.generations.live() == 1

        def accept() -> None:
            with rebuilding(pipeline) as one:
                one.run(resume=True, accept=True)

        await asyncio.to_thread(accept)
        assert pipeline.generations.live() == 2
        assert pipeline.assert_views_equal_folds() == 9


async def test_a_document_that_changes_meanwhile_is_not_removed(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 3)
    ghost = haunt(pipeline, answers[1].order_id, 1)
    shard = pipeline.generations.shards[shard_keys.partition_of(ghost, PARTITIONS)]
    read = shard.read(1, [ghost])[ghost]
    assert read is not None
    key = shard_keys.document_key(ghost, PARTITIONS, 1)
    value: Any = pipeline.redis.get(key)
    pipeline.redis.set(
        key, b"9" * stored_document.POSITION_DIGITS + value[stored_document.POSITION_DIGITS :]
    )
    with pytest.raises(DocumentMovedError):
        shard.remove(1, ghost, read)
    assert pipeline.redis.exists(key)


async def test_views_that_are_not_as_far_as_the_log_are_not_said_to_be_right(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where Redis was wiped, and the projector hangs."""
    monkeypatch.setattr("infrastructure.rebuild.catch_up.BEHIND_S", 0.2)
    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 9)
    pipeline.redis.flushall()
    with pytest.raises(StalledError, match="the views stand at 0 of"):
        await asyncio.to_thread(verify, pipeline)


@pytest.mark.parametrize("key", [b"{order-zz}:g1:foo", b"{order-99}:g1:document:x"])
async def test_keys_that_are_not_ours_are_passed_over(pipeline: Pipeline, key: bytes) -> None:
    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 3)
    pipeline.redis.set(key, "whatever")
    assert await asyncio.to_thread(verify, pipeline) == []
