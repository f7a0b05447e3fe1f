"""Stock is published by sku, on a topic of its own, in the log's order."""

import asyncio
import secrets
import time
from contextlib import closing

from confluent_kafka import Consumer, Message, TopicPartition

from commands.inventory.stock import ListItem, list_item, receive_stock
from commands.ports import Request
from domain.envelope import Actor, Role
from domain.ids import Sku
from domain.inventory.location import Location
from domain.money import Currency
from tests.integration.pipeline.conftest import Pipeline

WITHIN_S = 20.0
PLACES = (Location("main"), Location("leeds"))


async def test_all_of_a_sku_is_published_under_its_name_and_in_order(pipeline: Pipeline) -> None:
    sku = Sku(f"A/{secrets.token_hex(4)}")
    request = Request(Actor("m", Role.MERCHANT), "c", "c", "test")
    for place in PLACES:
        item = ListItem(sku, "Lamp", 1, Currency("GBP"), on_hand=1, location=place)
        await list_item(item, request, pipeline.ports)
    for place in PLACES:
        await receive_stock(sku, place, 5, request, pipeline.ports)
    with pipeline.relay():
        told = await asyncio.to_thread(_messages, pipeline, sku, 6)
    assert len({message.partition() for message in told}) == 1
    positions = [dict(message.headers() or ())["ce_logposition"] for message in told]
    assert positions == [b"1", b"2", b"3", b"4", b"5", b"6"]


def _messages(pipeline: Pipeline, sku: Sku, count: int) -> list[Message]:
    """Read the stock topic until it has told so much of a sku."""
    told: list[Message] = []
    until = time.monotonic() + WITHIN_S
    settings = {"bootstrap.servers": pipeline.kafka.kafka_bootstrap, "group.id": "reads-stock"}
    with closing(Consumer(settings)) as consumer:
        partitions = range(pipeline.kafka.order_partitions)
        while len(told) < count:
            assert time.monotonic() < until, pipeline.faults
            if not consumer.assignment():
                topic = pipeline.kafka.stock_topic
                consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            message = consumer.poll(0.5)
            if message is not None and message.error() is None and message.key() == sku.encode():
                told.append(message)
    return told
