"""Views are exactly once: whatever Kafka delivers again, late or to two, they equal the folds."""

import asyncio
import dataclasses
import random
from collections.abc import Sequence

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition

from infrastructure.event_store.mapper import LogEntry
from infrastructure.kafka import messages, topics
from infrastructure.redis.shard_keys import partition_of

from .conftest import Pipeline
from .test_pipeline import place_some


def make_topic(pipeline: Pipeline) -> None:
    admin = topics.admin(pipeline.kafka.kafka_bootstrap)
    partitions = pipeline.kafka.order_partitions
    topics.make_topic(admin, pipeline.kafka.order_topic, partitions=partitions, replication=1)


def twice_and_shuffled(log: Sequence[LogEntry], draw: random.Random) -> Sequence[LogEntry]:
    """Take every event twice, orders mixed anew; within an order as Kafka keeps them."""
    left: dict[object, list[LogEntry]] = {}
    for entry in log:
        left.setdefault(entry.order_id, []).extend([entry, entry])
    order = [order_id for order_id, entries in left.items() for _ in entries]
    draw.shuffle(order)
    return [left[order_id].pop(0) for order_id in order]


def publish(
    pipeline: Pipeline, entries: Sequence[LogEntry], position: int, topic_id: str | None = None
) -> None:
    """Publish as the relay does, and a checkpoint at the end."""
    topic, partitions = pipeline.kafka.order_topic, pipeline.kafka.order_partitions
    producer = Producer({"bootstrap.servers": pipeline.kafka.kafka_bootstrap})
    for entry in entries:
        assert entry.order_id is not None
        producer.produce(
            topic,
            key=str(entry.order_id).encode(),
            value=entry.state,
            partition=partition_of(entry.order_id, partitions),
            headers=messages.event_headers(entry, topic_id),
        )
    for partition in range(partitions):
        producer.produce(
            topic,
            value=b"",
            partition=partition,
            headers=messages.checkpoint_headers(position, topic_id),
        )
    assert producer.flush(10) == 0


def read_all(pipeline: Pipeline) -> Sequence[LogEntry]:
    ids = list(pipeline.reader.order_ids())
    entries = [entry for order_id in ids for entry in pipeline.reader.entries(order_id)]
    return sorted(entries, key=lambda entry: entry.position)


async def test_what_a_frozen_relay_had_for_a_topic_that_is_gone_tells_nothing_of_this_one(
    pipeline: Pipeline,
) -> None:
    """Its last events and its checkpoint come before those that it had sent to the other one."""
    make_topic(pipeline)
    with pipeline.projector():
        await asyncio.sleep(1)
        last = await place_some(pipeline, 20)
        log = read_all(pipeline)
        publish(pipeline, log[10:], last, topic_id="gone")
        await asyncio.sleep(1)
        assert {shard.position(1) for shard in pipeline.generations.shards} == {0}
        publish(pipeline, log, last)
        await asyncio.to_thread(pipeline.await_complete, last)
    assert pipeline.assert_views_equal_folds() == 20


async def test_everything_twice_and_shuffled_across_orders_changes_nothing(
    pipeline: Pipeline,
) -> None:
    make_topic(pipeline)
    with pipeline.projector():  # it has seen an empty log: it folds event by event
        await asyncio.sleep(1)
        last = await place_some(pipeline, 60)
        publish(pipeline, twice_and_shuffled(read_all(pipeline), random.Random(7)), last)
        await asyncio.to_thread(pipeline.await_complete, last)
        assert pipeline.assert_views_equal_folds() == 60

        # And once more, when all is known.
        publish(pipeline, twice_and_shuffled(read_all(pipeline), random.Random(8)), last)
        more = await place_some(pipeline, 10, begin=60)
        publish(pipeline, read_all(pipeline), more)
        await asyncio.to_thread(pipeline.await_complete, more)
    assert pipeline.assert_views_equal_folds() == 70


async def test_two_projectors_on_the_same_partitions_do_the_work_once(pipeline: Pipeline) -> None:
    """A projector whose place was given to another goes on with what it holds: a zombie."""
    group = f"{pipeline.kafka.projector_group}-zombie"
    zombie = dataclasses.replace(
        pipeline, kafka=pipeline.kafka.model_copy(update={"projector_group": group})
    )
    with pipeline.relay(), pipeline.projector(), zombie.projector():
        for begin in range(0, 120, 40):
            last = await place_some(pipeline, 40, begin=begin)
            await asyncio.to_thread(pipeline.await_complete, last)
    assert pipeline.assert_views_equal_folds() == 120


async def test_offsets_that_were_reset_in_kafka_change_nothing(pipeline: Pipeline) -> None:
    with pipeline.relay():
        with pipeline.projector():
            last = await place_some(pipeline, 30)
            await asyncio.to_thread(pipeline.await_complete, last)
        for offset in (0, 1_000_000):
            _reset_offsets(pipeline, offset)
            with pipeline.projector():
                last = await place_some(pipeline, 30, begin=30 + offset)
                await asyncio.to_thread(pipeline.await_complete, last)
    assert pipeline.assert_views_equal_folds() == 90


def _reset_offsets(pipeline: Pipeline, offset: int) -> None:
    admin = topics.admin(pipeline.kafka.kafka_bootstrap)
    group, topic = pipeline.kafka.projector_group, pipeline.kafka.order_topic
    partitions = [
        TopicPartition(topic, number, offset) for number in range(pipeline.kafka.order_partitions)
    ]
    wanted = [ConsumerGroupTopicPartitions(group, partitions)]
    admin.alter_consumer_group_offsets(wanted)[group].result()
