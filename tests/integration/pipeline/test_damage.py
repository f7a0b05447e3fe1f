"""A value in Redis that no code of ours wrote is as good as none, and is written over."""

import asyncio
import secrets
import time
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
import redis
import redis.asyncio
import typer
from pydantic import SecretStr

from api.cli import dead_letters
from domain.ids import OrderId
from infrastructure import composition
from infrastructure.local.ports import free_port
from infrastructure.local.program import running
from infrastructure.local.redis import RedisServer
from infrastructure.redis import shard_keys, stored_document
from infrastructure.redis.dead_letters import DeadLetters
from infrastructure.redis.refold import Refolded, refold
from projections.ports import OrderQuery, ViewsUnavailableError
from tests.integration.pipeline.conftest import WAIT_S, Pipeline
from tests.integration.pipeline.test_views import list_all, make_views

DAMAGE = [
    b"garbage",
    b"",
    b"\xff" * 40,
    b"1" * 20 + b"{}\n{}",
    b"0" * 20 + b"no header\n{}",
    b"1e9",
]
NO_BODY = [b"", b"{}", b'{"order_id":', b"null"]
"""Behind a header that can be read."""


def damage(pipeline: Pipeline, order_id: object, value: bytes) -> None:
    key = shard_keys.document_key(order_id, pipeline.kafka.order_partitions, 1)  # type: ignore[arg-type]
    pipeline.redis.set(key, value)


@pytest.mark.parametrize("value", DAMAGE)
async def test_the_next_event_of_the_order_mends_it_and_no_other_waits(
    pipeline: Pipeline, value: bytes
) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
        damage(pipeline, placed.order_id, value)
        for partition in range(pipeline.kafka.order_partitions):
            pipeline.redis.set(shard_keys.position_key(partition, 1), value)
        await pipeline.cancel(placed.order_id)
        last = await pipeline.place(1)
        await asyncio.to_thread(pipeline.await_complete, last.position)
    assert pipeline.assert_views_equal_folds() == 2


@pytest.mark.parametrize("value", [*DAMAGE, *(b"\n" + body for body in NO_BODY)])
async def test_a_reader_gets_the_fold_and_leaves_it_there(pipeline: Pipeline, value: bytes) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
    whole = pipeline.stored(placed.order_id)
    assert whole is not None
    head, _, _ = stored_document.encode_stored(whole).partition(b"\n")
    damage(pipeline, placed.order_id, head * value.startswith(b"\n") + value)
    async with redis.asyncio.from_url(pipeline.redis_url, protocol=3) as client:
        views = make_views(pipeline, client)
        found = await views.find(placed.order_id, owner=None, min_position=0, wait_s=0)
    assert found is not None
    assert found.source == "event-store"
    assert pipeline.stored(placed.order_id) == whole
    assert pipeline.assert_views_equal_folds() == 1


async def test_a_body_that_is_no_document_does_not_park_the_order_at_its_next_event(
    pipeline: Pipeline,
) -> None:
    bodies = [b"{}", b"[]", b"null", b"5", b'"order_id"', b'{"order_id":1,"position":2}']
    with pipeline.relay(), pipeline.projector():
        placed = [await pipeline.place(number) for number in range(len(bodies))]
        await asyncio.to_thread(pipeline.await_complete, placed[-1].position)
        for one, body in zip(placed, bodies, strict=True):
            key = shard_keys.document_key(one.order_id, pipeline.kafka.order_partitions, 1)
            value: Any = pipeline.redis.get(key)
            pipeline.redis.set(key, value.split(b"\n")[0] + b"\n" + body)
            last = await pipeline.cancel(one.order_id)
        await asyncio.to_thread(pipeline.await_complete, last.position)
    assert list(DeadLetters(pipeline.redis, pipeline.kafka.order_partitions).all()) == []
    assert pipeline.assert_views_equal_folds() == len(bodies)


async def test_a_list_leaves_them_out_and_goes_on_behind_them(pipeline: Pipeline) -> None:
    values = [*DAMAGE, *(b"\n" + body for body in NO_BODY)]
    with pipeline.relay(), pipeline.projector():
        placed = [await pipeline.place(number) for number in range(2 * len(values))]
        await asyncio.to_thread(pipeline.await_complete, placed[-1].position)
    for one, value in zip(placed[::2], values, strict=True):
        key = shard_keys.document_key(one.order_id, pipeline.kafka.order_partitions, 1)
        stored: Any = pipeline.redis.get(key)
        header = stored.split(b"\n")[0] if value.startswith(b"\n") else b""
        pipeline.redis.set(key, header + value)
    whole = [str(one.order_id) for one in reversed(placed[1::2])]
    asked: list[dict[str, str]] = [{}, {"payment_status": "none"}, {"return_status": "none"}]
    async with redis.asyncio.from_url(pipeline.redis_url, protocol=3) as client:
        for filters, limit in product(asked, (1, 2, 3, 100)):
            bodies = await list_all(make_views(pipeline, client), limit, **filters)
            assert [orjson.loads(body)["order_id"] for body in bodies] == whole


@pytest.mark.parametrize("digit", [b" ", b"+", b"_"])
async def test_a_position_that_only_looks_like_a_number_holds_up_nobody(
    pipeline: Pipeline, digit: bytes
) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
        key = shard_keys.document_key(placed.order_id, pipeline.kafka.order_partitions, 1)
        value: Any = pipeline.redis.get(key)
        pipeline.redis.set(key, value[:1] + digit + value[2:])
        cancelled = await pipeline.cancel(placed.order_id)
        await asyncio.to_thread(pipeline.await_complete, cancelled.position)
        pipeline.redis.set(key, digit + value[1:])
        async with redis.asyncio.from_url(pipeline.redis_url, protocol=3) as client:
            views = make_views(pipeline, client)
            found = await views.find(
                placed.order_id, owner=None, min_position=cancelled.position, wait_s=0
            )
    assert found is not None
    assert pipeline.assert_views_equal_folds() == 1


async def test_one_order_is_folded_anew_over_it(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
    damage(pipeline, placed.order_id, b"garbage")
    partition = shard_keys.partition_of(placed.order_id, pipeline.kafka.order_partitions)
    shard = pipeline.generations.shards[partition]
    assert refold(pipeline.reader, shard, placed.order_id) is Refolded.DIFFERENT
    assert pipeline.assert_views_equal_folds() == 1


async def test_one_order_that_is_further_than_the_log_is_folded_anew(pipeline: Pipeline) -> None:
    """As after PostgreSQL was restored to an earlier time, and Redis not."""
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
    partition = shard_keys.partition_of(placed.order_id, pipeline.kafka.order_partitions)
    key = shard_keys.document_key(placed.order_id, pipeline.kafka.order_partitions, 1)
    value: Any = pipeline.redis.get(key)
    pipeline.redis.set(
        key, b"9".zfill(stored_document.POSITION_DIGITS) + value[stored_document.POSITION_DIGITS :]
    )
    shard = pipeline.generations.shards[partition]
    assert refold(pipeline.reader, shard, placed.order_id) is Refolded.DIFFERENT
    assert pipeline.redis.get(key) == value


@pytest.mark.parametrize("another", [None, b"whatever"])
async def test_a_list_entry_that_was_lost_is_there_again_after_one_order_is_folded_anew(
    pipeline: Pipeline, another: bytes | None
) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
    partition = shard_keys.partition_of(placed.order_id, pipeline.kafka.order_partitions)
    key = shard_keys.list_key(partition, 1, "all")
    assert pipeline.redis.delete(key) == 1
    if another is not None:
        pipeline.redis.set(key, another)
    shard = pipeline.generations.shards[partition]
    assert refold(pipeline.reader, shard, placed.order_id) is Refolded.UNLISTED
    assert pipeline.redis.zcard(key) == 1
    assert refold(pipeline.reader, shard, placed.order_id) is Refolded.RIGHT


async def test_keys_of_another_type_are_mended_and_stop_nobody(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
        partition = shard_keys.partition_of(placed.order_id, pipeline.kafka.order_partitions)
        document = shard_keys.document_key(placed.order_id, pipeline.kafka.order_partitions, 1)
        pipeline.redis.delete(document)
        pipeline.redis.hset(document, "what", "ever")
        for name in ("all", "status:pending"):
            pipeline.redis.set(shard_keys.list_key(partition, 1, name), "whatever")
        pipeline.redis.rpush(shard_keys.parked_key(partition, 1), "whatever")
        position = shard_keys.position_key(partition, 1)
        pipeline.redis.delete(position)
        pipeline.redis.rpush(position, "whatever")
        cancelled = await pipeline.cancel(placed.order_id)
        await asyncio.to_thread(pipeline.await_complete, cancelled.position)
    assert pipeline.assert_views_equal_folds() == 1


@pytest.mark.parametrize("pointer", ["abc", "", "1e9", "-1"])
async def test_where_nobody_can_tell_what_is_read_single_reads_come_from_the_log(
    pipeline: Pipeline, pointer: str
) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
    pipeline.redis.set(shard_keys.LIVE_GENERATION, pointer)
    async with redis.asyncio.from_url(pipeline.redis_url, protocol=3) as client:
        views = make_views(pipeline, client)
        found = await views.find(placed.order_id, owner=None, min_position=0, wait_s=0)
        assert found is not None
        assert found.source == "event-store"
        with pytest.raises(ViewsUnavailableError, match=shard_keys.LIVE_GENERATION):
            await views.list(OrderQuery(None, None, None, 10, None))
        with pytest.raises(redis.RedisError):
            pipeline.generations.live()
        pipeline.redis.delete(shard_keys.LIVE_GENERATION)
        assert len((await views.list(OrderQuery(None, None, None, 10, None))).bodies) == 1


async def test_a_pointer_of_another_type_is_as_good_as_none(pipeline: Pipeline) -> None:
    pipeline.redis.rpush(shard_keys.LIVE_GENERATION, "whatever")
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
    assert pipeline.generations.live() == shard_keys.FIRST_GENERATION
    pipeline.generations.flip(before=1, after=2)
    assert pipeline.generations.live() == 2


async def test_notes_that_nobody_can_read_stop_no_list_of_dead_letters(pipeline: Pipeline) -> None:
    order_id = OrderId(uuid4())
    notes: dict[str | bytes, str] = {"no order": "{}", b"\xff": "{}", str(order_id): "no note"}
    pipeline.redis.hset(shard_keys.parked_key(0, 1), mapping=notes)  # type: ignore[arg-type]
    [found] = DeadLetters(pipeline.redis, pipeline.kafka.order_partitions).all()
    assert found.order_id == order_id


async def test_a_note_on_an_order_that_the_log_does_not_have_is_told_for_what_it_is(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown, placed = OrderId(uuid4()), await pipeline.place(0)
    note = stored_document.encode_note(stored_document.ParkedNote(1, "order.eaten.v1", "why"))
    for order_id in (unknown, placed.order_id):
        partition = shard_keys.partition_of(order_id, pipeline.kafka.order_partitions)
        pipeline.redis.hset(shard_keys.parked_key(partition, 1), str(order_id), note)
    letters = DeadLetters(pipeline.redis, pipeline.kafka.order_partitions)
    monkeypatch.setattr(dead_letters, "_dead_letters", lambda: letters)
    monkeypatch.setattr(dead_letters, "_reader", lambda: pipeline.reader)
    with pytest.raises(typer.Exit):
        dead_letters.retry([])
    told = capsys.readouterr().out
    assert f"{unknown} is not in the log: `dead-letters discard {unknown}`" in told
    assert told.endswith("1 orders are whole again, 1 are not\n")
    assert [one.order_id for one in letters.all()] == [unknown]
    dead_letters.discard([str(unknown)])
    assert list(letters.all()) == []


@pytest.mark.parametrize("value", [b"abc", b"\xff\xfe", b"1,,", b"", None])
async def test_a_shard_whose_own_keys_are_damaged_goes_on(
    pipeline: Pipeline, value: bytes | None
) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
        partition = shard_keys.partition_of(placed.order_id, pipeline.kafka.order_partitions)
        for key in (
            shard_keys.fed_key(partition),
            shard_keys.progress_key(partition, 1),
            shard_keys.position_key(partition, 1),
        ):
            pipeline.redis.delete(key)
            if value is None:
                pipeline.redis.rpush(key, "whatever")
            else:
                pipeline.redis.set(key, value)
        await pipeline.cancel(placed.order_id)
        last = await pipeline.place(1)
        await asyncio.to_thread(pipeline.await_complete, last.position)
    pipeline.generations.shards[partition].join(2)
    assert pipeline.generations.shards[partition].fed() == (1, 2)
    assert pipeline.assert_views_equal_folds() == 2


NOT_CANONICAL = [
    b"01",
    b"001",
    b"1,1",
    b"1,01",
    b"2,2",
    b"0",
    b"1,0",
    b"1,",
    b"9" * 10,
    b"9" * 5000,
]


async def test_only_the_one_way_to_write_what_is_fed_counts_and_the_shard_goes_on(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        for number, value in enumerate(NOT_CANONICAL):
            placed = await pipeline.place(number)
            partition = shard_keys.partition_of(placed.order_id, pipeline.kafka.order_partitions)
            pipeline.redis.set(shard_keys.fed_key(partition), value)
            cancelled = await pipeline.cancel(placed.order_id)
            await asyncio.to_thread(pipeline.await_complete, cancelled.position)
    shard = pipeline.generations.shards[0]
    for value in NOT_CANONICAL:
        pipeline.redis.set(shard_keys.fed_key(0), value)
        assert shard.fed() == (1,)
        shard.join(2)
        assert shard.fed() == (1, 2)
        shard.leave(2)
        assert pipeline.redis.get(shard_keys.fed_key(0)) == b"1"
    assert pipeline.assert_views_equal_folds() == len(NOT_CANONICAL)


async def test_a_redis_that_is_a_replica_now_is_asked_again_over_a_new_connection(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """After a failover the same name leads to another server; the old one may still answer."""
    server = RedisServer(tmp_path / "redis", free_port(), secrets.token_hex(16))
    with running(server, tmp_path / "redis.log"), closing(redis.from_url(server.url)) as looking:
        views = pipeline.views.model_copy(update={"redis_url": SecretStr(server.url)})
        client = composition.redis_client(views)
        moved = replace(pipeline, views=views, redis=client)

        def connections() -> set[str]:
            mine = str(looking.client_id())
            return {one["id"] for one in looking.client_list() if one["id"] != mine}

        with moved.relay(), moved.projector():
            placed = await moved.place(0)
            await asyncio.to_thread(moved.await_complete, placed.position)
            before = connections()
            looking.replicaof("127.0.0.1", "1")
            last = await moved.place(1)
            until = time.monotonic() + WAIT_S
            while connections() & before:
                assert time.monotonic() < until, moved.faults
                await asyncio.sleep(0.05)
            looking.replicaof("NO", "ONE")
            await asyncio.to_thread(moved.await_complete, last.position)
        assert moved.assert_views_equal_folds() == 2
        client.close()
