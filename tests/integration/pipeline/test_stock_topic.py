"""Stock is published by sku, on a topic of its own, in the log's order."""

import asyncio
import time
from contextlib import closing

import pytest
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from commands.inventory.stock import ListItem, list_item, receive_stock
from commands.ports import Request
from domain.envelope import Actor, Role
from domain.ids import Sku
from domain.inventory.location import Location
from domain.money import Currency
from infrastructure.kafka import topics
from tests.integration.pipeline.conftest import Pipeline

WITHIN_S = 20.0
PLACES = (Location("main"), Location("leeds"))
SKU = Sku("B/1")
"""By the names of its streams, its two locations would be in different partitions."""
GONE = (KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)
REQUEST = Request(Actor("m", Role.MERCHANT), "c", "c", "test")


async def test_all_of_a_sku_is_published_under_its_name_and_in_order(pipeline: Pipeline) -> None:
    await stock(pipeline)
    for place in PLACES:
        await receive_stock(SKU, place, 5, REQUEST, pipeline.ports)
    with pipeline.relay():
        told = await asyncio.to_thread(published, pipeline, pipeline.kafka.stock_topic, 6)
    assert {message.key() for message in told} == {SKU.encode()}
    assert len({message.partition() for message in told}) == 1
    positions = [dict(message.headers() or ())["ce_logposition"] for message in told]
    assert positions == [b"1", b"2", b"3", b"4", b"5", b"6"]


@pytest.mark.parametrize("gone", ["order_topic", "stock_topic"])
async def test_whichever_topic_is_gone_is_published_from_the_beginning(
    pipeline: Pipeline, gone: str
) -> None:
    """The relay has one position for both topics, so it must be that of both as they were."""
    await stock(pipeline)
    await pipeline.place(0)
    admin = topics.admin(pipeline.kafka.kafka_bootstrap)
    topic = getattr(pipeline.kafka, gone)
    count = {"order_topic": 1, "stock_topic": 4}[gone]
    with pipeline.relay():
        before = await asyncio.to_thread(published, pipeline, topic, count)
        admin.delete_topics([topic])[topic].result()
        after = await asyncio.to_thread(published, pipeline, topic, count)
    assert [one.value() for one in after] == [one.value() for one in before]


async def stock(pipeline: Pipeline) -> None:
    """List a sku at two locations: two events each."""
    for place in PLACES:
        item = ListItem(SKU, "Mug", 1, Currency("GBP"), on_hand=1, location=place)
        await list_item(item, REQUEST, pipeline.ports)


def published(pipeline: Pipeline, topic: str, count: int) -> list[Message]:
    """Read a topic from its beginning until it has told so many events; it may not be there yet."""
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        told = _read(pipeline, topic, count, until)
        if told is not None:
            return told
        time.sleep(0.1)
    raise AssertionError(f"{topic} has not told {count} events; faults: {pipeline.faults}")


def _read(pipeline: Pipeline, topic: str, count: int, until: float) -> list[Message] | None:
    told: list[Message] = []
    settings = {"bootstrap.servers": pipeline.kafka.kafka_bootstrap, "group.id": "reads-stock"}
    with closing(Consumer(settings)) as consumer:
        partitions = range(pipeline.kafka.order_partitions)
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        while len(told) < count and time.monotonic() < until:
            message = consumer.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                assert error.code() in GONE, error
                return None
            if message.key() is not None:  # a checkpoint has none
                told.append(message)
    return told if len(told) == count else None
