"""What is acknowledged can be published, however large: else it holds up all that is behind it."""

import asyncio

from confluent_kafka.cimpl import NewTopic

from commands.order.place import PlaceOrder, place_order
from domain.ids import CustomerId, Sku
from domain.money import Currency
from domain.order.decisions.placing import MOST_LINES
from domain.order.events import OrderLine, PaymentMethod
from domain.personal import PersonalData
from infrastructure.kafka import topics
from tests.integration.pipeline.conftest import Pipeline
from tests.integration.pipeline.test_stock_topic import published

MIB = 1_024 * 1_024


async def test_an_order_of_a_mebibyte_is_published_also_to_a_topic_that_took_less(
    pipeline: Pipeline,
) -> None:
    """By itself a topic takes a message of a mebibyte at most, and a body may be as large."""
    wide = "\N{PACKAGE}" * 190
    command = PlaceOrder(
        customer_id=CustomerId("c-1"),
        external_reference=None,
        personal=PersonalData("Ada"),
        currency=Currency("GBP"),
        lines=[
            OrderLine(number, Sku(f"{wide[:60]}{number}"), wide, 1, 1)
            for number in range(1, MOST_LINES + 1)
        ],
        shipping_minor=0,
        tax_minor=0,
        discount_minor=0,
        payment=PaymentMethod.SETTLED_ELSEWHERE,
    )
    admin = topics.admin(pipeline.kafka.kafka_bootstrap)
    earlier = NewTopic(pipeline.kafka.order_topic, pipeline.kafka.order_partitions, 1)
    admin.create_topics([earlier])[pipeline.kafka.order_topic].result()
    await place_order(command, pipeline.request("k"), pipeline.ports)
    await pipeline.place(1)
    with pipeline.relay():
        told = await asyncio.to_thread(published, pipeline, pipeline.kafka.order_topic, 2)
    assert max(len(message.value() or b"") for message in told) > MIB
