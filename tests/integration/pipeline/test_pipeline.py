"""From the log through Kafka to Redis, on real parts: nothing lost, nothing twice."""

import asyncio

import psycopg
import pytest

from infrastructure.kafka import topics
from infrastructure.processes import relay
from infrastructure.redis import shard_keys
from infrastructure.redis.shard import Change, ShardWriter, Step

from .conftest import Pipeline


async def place_some(pipeline: Pipeline, count: int, *, begin: int = 0) -> int:
    """Place orders, cancel every third, and give the last position."""
    answers = await asyncio.gather(*(pipeline.place(begin + n) for n in range(count)))
    cancelled = await asyncio.gather(*(pipeline.cancel(one.order_id) for one in answers[::3]))
    return max(one.position for one in [*answers, *cancelled])


async def test_orders_become_documents_that_equal_their_folds(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        last = await place_some(pipeline, 60)
        await asyncio.to_thread(pipeline.await_complete, last)

    assert pipeline.assert_views_equal_folds() == 60


async def test_a_wiped_redis_is_filled_again_while_events_flow(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, await place_some(pipeline, 30))
        pipeline.redis.flushall()
        last = await place_some(pipeline, 30, begin=30)
        await asyncio.to_thread(pipeline.await_complete, last)

        assert pipeline.assert_views_equal_folds() == 60


async def test_a_wiped_redis_is_filled_again_without_new_events(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        last = await place_some(pipeline, 30)
        await asyncio.to_thread(pipeline.await_complete, last)
        pipeline.redis.flushall()
        await asyncio.to_thread(pipeline.await_complete, last)

        assert pipeline.assert_views_equal_folds() == 30


async def test_a_topic_that_is_gone_is_made_and_published_from_the_beginning(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        last = await place_some(pipeline, 30)
        await asyncio.to_thread(pipeline.await_complete, last)
        admin = topics.admin(pipeline.kafka.kafka_bootstrap)
        topic = pipeline.kafka.order_topic
        before = topics.find_topic(admin, topic)
        admin.delete_topics([topic])[topic].result()
        last = await place_some(pipeline, 30, begin=30)
        await asyncio.to_thread(pipeline.await_complete, last)

        after = topics.find_topic(admin, topic)
        assert after is not None
        assert after != before
        assert pipeline.assert_views_equal_folds() == 60


async def test_two_projectors_share_the_partitions(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, await place_some(pipeline, 30))
        with pipeline.projector():
            last = await place_some(pipeline, 60, begin=30)
            await asyncio.to_thread(pipeline.await_complete, last)
        last = await place_some(pipeline, 30, begin=90)
        await asyncio.to_thread(pipeline.await_complete, last)

    assert pipeline.assert_views_equal_folds() == 120


async def test_of_two_relays_one_publishes_and_the_other_takes_over(pipeline: Pipeline) -> None:
    with pipeline.projector(), pipeline.relay():
        await asyncio.to_thread(pipeline.await_complete, await place_some(pipeline, 10))
        with pipeline.relay():
            with psycopg.connect(pipeline.store.postgres_url.get_secret_value()) as connection:
                # The active one loses its session, and with it the lock.
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                    " AND pid <> pg_backend_pid() AND database ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            last = await place_some(pipeline, 20, begin=10)
            await asyncio.to_thread(pipeline.await_complete, last)

    assert pipeline.assert_views_equal_folds() == 30


async def test_a_frozen_relay_loses_its_place_to_a_standby(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "FROZEN_S", 1.0)
    url = pipeline.store.postgres_url.get_secret_value()
    # What a frozen relay is to PostgreSQL: a session that holds the lock and asks nothing.
    with psycopg.connect(url, autocommit=True) as frozen:
        frozen.execute(relay.LOCK)
        with pipeline.relay(), pipeline.projector():
            last = await place_some(pipeline, 10)
            await asyncio.to_thread(pipeline.await_complete, last)
        with pytest.raises(psycopg.OperationalError):
            frozen.execute("SELECT 1")

    assert pipeline.assert_views_equal_folds() == 10


async def test_a_relay_that_works_keeps_its_place(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "FROZEN_S", 2.0)
    with pipeline.relay(), pipeline.relay(), pipeline.projector():
        for number in range(3):
            last = await place_some(pipeline, 5, begin=number * 5)
            await asyncio.to_thread(pipeline.await_complete, last)
            await asyncio.sleep(1.0)

    assert not [fault for fault in pipeline.faults if isinstance(fault, psycopg.Error)]


async def test_a_gap_is_closed_from_the_event_store(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(1)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
        partition = shard_keys.partition_of(placed.order_id, pipeline.kafka.order_partitions)
        pipeline.redis.delete(
            f"{shard_keys.generation_prefix(partition, 1)}document:{placed.order_id}"
        )
        cancelled = await pipeline.cancel(placed.order_id)
        await asyncio.to_thread(pipeline.await_position, placed.order_id, cancelled.position)

    assert pipeline.assert_views_equal_folds() == 1


async def test_a_document_written_back_by_a_reader_is_taken_up(pipeline: Pipeline) -> None:
    placed = await pipeline.place(1)
    folded = pipeline.reader.fold(placed.order_id)
    assert folded is not None
    partition = shard_keys.partition_of(placed.order_id, pipeline.kafka.order_partitions)
    ShardWriter(pipeline.redis, partition).apply([Step(1, [Change(None, folded)])])
    with pipeline.relay(), pipeline.projector():
        last = (await pipeline.cancel(placed.order_id)).position
        await asyncio.to_thread(pipeline.await_complete, last)

    assert pipeline.assert_views_equal_folds() == 1


async def test_every_order_stands_in_its_lists_and_only_there(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        last = await place_some(pipeline, 30)
        await asyncio.to_thread(pipeline.await_complete, last)

    assert _listed(pipeline, "all") == 30
    assert _listed(pipeline, "status:pending") == 20
    assert _listed(pipeline, "status:cancelled") == 10
    assert sum(_listed(pipeline, f"customer:c-{n}") for n in range(7)) == 30
    assert _listed(pipeline, "reference:ref-3") == 1


def _listed(pipeline: Pipeline, name: str) -> int:
    partitions = range(pipeline.kafka.order_partitions)
    return sum(int(pipeline.redis.zcard(shard_keys.list_key(p, 1, name))) for p in partitions)
