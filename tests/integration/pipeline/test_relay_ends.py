"""Where Kafka's partitions end is stored before anything may depend on it, so a loss is noticed."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic

from infrastructure.kafka import ends, messages, publisher, topics
from infrastructure.kafka.ends import Bounds
from infrastructure.kafka.publisher import DeliveryError, Publisher
from infrastructure.kafka.topics import ForeignTopicError, Incarnation

from .conftest import WAIT_S, Pipeline
from .test_relay_marks import (
    await_good,
    await_refusal,
    await_stored,
    incarnation,
    published_positions,
)

WEEK_MS = "604800000"


async def test_no_checkpoint_of_a_start_lies_behind_the_ends_that_are_stored(
    pipeline: Pipeline,
) -> None:
    """Lost, it would not be missed; what is published next would stand where it was read."""
    await run_relay_once(pipeline)
    before = ends_in_kafka(pipeline)
    with pipeline.relay() as health:
        await asyncio.to_thread(await_good, health)
    assert sum(ends_in_kafka(pipeline)) > sum(before)
    assert stored_ends(pipeline) == ends_in_kafka(pipeline)


async def test_what_kafka_has_when_a_relay_starts_is_stored_before_more_is_sent(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be from relays that were killed before they could store where that ends."""
    await run_relay_once(pipeline)
    publish_as_another(pipeline)

    def refuse(_self: Publisher, _position: int) -> None:
        raise DeliveryError("nothing may be sent yet")

    with monkeypatch.context() as refusing, pipeline.relay():
        refusing.setattr(Publisher, "send_checkpoint", refuse)
        await asyncio.to_thread(await_refusal, pipeline)
    assert stored_ends(pipeline) == ends_in_kafka(pipeline)


async def test_what_another_relay_still_had_to_send_is_stored_too(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was frozen has lost its place, and sends what it held when it is awake again."""
    monkeypatch.setattr(publisher, "CHECK_TOPIC_S", 0.1)
    with pipeline.relay() as health:
        await asyncio.to_thread(await_good, health)
        publish_as_another(pipeline)
        await asyncio.to_thread(await_ends_stored, pipeline, ends_in_kafka(pipeline))


async def test_messages_lost_are_missed_although_more_was_published_since(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With those, Kafka ends no earlier than it did when it was asked last."""
    lost, really_read, really_remove = 0, ends.read_bounds, ends.remove

    def read_less(asking: Any, topic: str, partitions: int, *, timeout_s: float) -> list[Bounds]:
        less = lost if topic == pipeline.kafka.order_topic else 0
        found = really_read(asking, topic, partitions, timeout_s=timeout_s)
        return [Bounds(one.begin, one.end - less) for one in found]

    def remove(*args: Any) -> None:
        nonlocal lost
        really_remove(*args)
        lost = 0

    monkeypatch.setattr(ends, "read_bounds", read_less)
    monkeypatch.setattr(ends, "remove", remove)
    monkeypatch.setattr(publisher, "CHECK_TOPIC_S", 3_600.0)
    with pipeline.relay():
        await pipeline.place(0)
        await asyncio.to_thread(await_stored, pipeline, 1)
        before = incarnation(pipeline)
        lost = 1
        await pipeline.place(1)  # after it comes a checkpoint in each partition
        await asyncio.to_thread(await_stored, pipeline, 2)
    assert incarnation(pipeline) != before
    assert published_positions(pipeline) == {1, 2}


async def test_a_topic_that_has_lost_its_beginning_is_made_anew(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that somebody lets keep messages for some days only."""
    monkeypatch.setattr(publisher, "CHECK_TOPIC_S", 0.1)
    with pipeline.relay():
        await pipeline.place(0)
        await asyncio.to_thread(await_stored, pipeline, 1)
        before = incarnation(pipeline)
        await asyncio.to_thread(delete_first_message, pipeline)
        await asyncio.to_thread(await_another, pipeline, before)
        await pipeline.place(1)
        await asyncio.to_thread(await_stored, pipeline, 2)
    assert published_positions(pipeline) == {1, 2}


async def test_a_topic_that_somebody_else_made_keeps_everything_for_good(
    pipeline: Pipeline,
) -> None:
    make_topic_of_another(pipeline, policy="compact")
    await run_relay_once(pipeline)
    assert kept(pipeline) == ("-1", "delete")


async def test_a_topic_of_another_that_has_lost_its_beginning_is_left_alone(
    pipeline: Pipeline,
) -> None:
    make_topic_of_another(pipeline)
    publish_as_another(pipeline)
    delete_first_message(pipeline)
    before = incarnation(pipeline)
    with pipeline.relay():
        await pipeline.place(0)
        await asyncio.to_thread(await_fault, pipeline, ForeignTopicError)
    assert incarnation(pipeline) == before
    assert kept(pipeline) == (WEEK_MS, "delete")
    assert published_positions(pipeline) == set()


async def test_a_topic_of_ours_is_made_anew_also_where_the_other_one_is_removed_already(
    pipeline: Pipeline,
) -> None:
    """A relay is ended between the two: nothing was ever published to this pair."""
    await run_relay_once(pipeline)
    publish_as_another(pipeline, pipeline.kafka.stock_topic)
    delete_first_message(pipeline, pipeline.kafka.stock_topic)
    admin = topics.admin(pipeline.kafka.kafka_bootstrap)
    admin.delete_topics([pipeline.kafka.order_topic])[pipeline.kafka.order_topic].result()
    with pipeline.relay(), pipeline.projector():
        last = await pipeline.place(1)
        await asyncio.to_thread(pipeline.await_complete, last.position)
    assert published_positions(pipeline) == {1, last.position}
    assert {one.begin for one in bounds_in_kafka(pipeline)} == {0}


async def test_another_ones_topic_is_left_alone_though_the_one_beside_it_is_ours(
    pipeline: Pipeline,
) -> None:
    await run_relay_once(pipeline)
    publish_as_another(pipeline)
    delete_first_message(pipeline)
    others = f"{pipeline.kafka.stock_topic}-of-others"
    make_topic_of_another(pipeline, topic=others)
    publish_as_another(pipeline, others)
    pipeline.kafka = pipeline.kafka.model_copy(update={"stock_topic": others})
    before = incarnation(pipeline)
    with pipeline.relay():
        await asyncio.to_thread(await_fault, pipeline, ForeignTopicError)
    assert incarnation(pipeline) == before
    assert sum(ends_in_kafka(pipeline)[pipeline.kafka.order_partitions :]) > 0


async def test_a_transaction_that_somebody_left_open_is_no_loss(pipeline: Pipeline) -> None:
    await run_relay_once(pipeline)
    before = incarnation(pipeline)
    settings = {
        "bootstrap.servers": pipeline.kafka.kafka_bootstrap,
        "transactional.id": "left open",
    }
    another = Producer(settings)
    another.init_transactions(WAIT_S)
    another.begin_transaction()
    another.produce(pipeline.kafka.order_topic, b"", None, 0)
    assert another.flush(WAIT_S) == 0
    with pipeline.relay(), pipeline.projector():
        last = [await pipeline.place(n) for n in range(1, 9)][-1]
        await asyncio.to_thread(pipeline.await_complete, last.position)
    assert incarnation(pipeline) == before


def make_topic_of_another(
    pipeline: Pipeline, policy: str = "delete", topic: str | None = None
) -> None:
    admin = topics.admin(pipeline.kafka.kafka_bootstrap)
    topic, partitions = topic or pipeline.kafka.order_topic, pipeline.kafka.order_partitions
    config = {"retention.ms": WEEK_MS, "cleanup.policy": policy}
    admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result()


def kept(pipeline: Pipeline) -> tuple[str, str]:
    """Say how long, and how, Kafka keeps the messages of orders."""
    admin = topics.admin(pipeline.kafka.kafka_bootstrap)
    named = ConfigResource(ConfigResource.Type.TOPIC, pipeline.kafka.order_topic)
    found = admin.describe_configs([named])[named].result()
    return found["retention.ms"].value, found["cleanup.policy"].value


def await_fault(pipeline: Pipeline, kind: type[Exception]) -> None:
    until = time.monotonic() + WAIT_S
    while not any(isinstance(one, kind) for one in pipeline.faults):
        assert time.monotonic() < until, pipeline.faults
        time.sleep(0.02)


def delete_first_message(pipeline: Pipeline, topic: str | None = None) -> None:
    admin = topics.admin(pipeline.kafka.kafka_bootstrap)
    # Every partition of orders has a checkpoint.
    up_to = TopicPartition(topic or pipeline.kafka.order_topic, 0, 1)
    [done] = admin.delete_records([up_to]).values()
    done.result()


def await_another(pipeline: Pipeline, before: Incarnation) -> None:
    until = time.monotonic() + WAIT_S
    admin = topics.admin(pipeline.kafka.kafka_bootstrap)
    while topics.find_topic(admin, pipeline.kafka.order_topic) in (before, None):
        assert time.monotonic() < until, pipeline.faults
        time.sleep(0.05)


async def run_relay_once(pipeline: Pipeline) -> None:
    await pipeline.place(0)
    with pipeline.relay():
        await asyncio.to_thread(await_stored, pipeline, 1)


def publish_as_another(pipeline: Pipeline, topic: str | None = None) -> None:
    producer = Producer({"bootstrap.servers": pipeline.kafka.kafka_bootstrap})
    for partition in range(pipeline.kafka.order_partitions):
        headers = messages.checkpoint_headers(0)
        into = topic or pipeline.kafka.order_topic
        producer.produce(into, b"", None, partition, headers=headers)
    assert producer.flush(WAIT_S) == 0


def ends_in_kafka(pipeline: Pipeline) -> list[int]:
    return [one.end for one in bounds_in_kafka(pipeline)]


def bounds_in_kafka(pipeline: Pipeline) -> list[Bounds]:
    kafka = pipeline.kafka
    with closing(ends.reader(kafka.kafka_bootstrap)) as asking:
        return [
            one
            for topic in (kafka.order_topic, kafka.stock_topic)
            for one in ends.read_bounds(asking, topic, kafka.order_partitions, timeout_s=WAIT_S)
        ]


def stored_ends(pipeline: Pipeline) -> list[int]:
    with psycopg.connect(pipeline.store.postgres_url.get_secret_value()) as connection:
        row = connection.execute("SELECT ends FROM relay_positions").fetchone()
    assert row is not None
    return list(row[0])


def await_ends_stored(pipeline: Pipeline, wanted: Sequence[int]) -> None:
    until = time.monotonic() + WAIT_S
    while any(end < least for end, least in zip(stored_ends(pipeline), wanted, strict=True)):
        assert time.monotonic() < until, pipeline.faults
        time.sleep(0.02)
