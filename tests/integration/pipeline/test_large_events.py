"""What is acknowledged can be published, however large: else it holds up all that is behind it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import Message
from confluent_kafka.cimpl import NewTopic

from commands.order.place import PlaceOrder, place_order
from domain.ids import CustomerId, Sku
from domain.money import Currency
from domain.order.decisions.placing import MOST_LINES
from domain.order.events import OrderLine, PaymentMethod
from domain.personal import PersonalData
from infrastructure.event_store import recorder
from infrastructure.event_store.mapper import LogEntry
from infrastructure.kafka import taking, topics
from infrastructure.kafka.publisher import Publisher
from infrastructure.processes import projector, relay
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


async def test_large_orders_are_taken_a_few_at_a_time_and_none_is_left_out(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted only, a thousand of the largest would be gigabytes in each who reads them."""
    most_bytes = 4_000
    sizes: list[int] = []
    batches: list[int] = []
    real_read, real_take = recorder.read_weighed, taking.take

    def read(*arguments: Any, **named: Any) -> Sequence[LogEntry]:
        found = real_read(*arguments, **named)
        sizes.append(sum(len(one.state) for one in found))
        return found

    def take(*arguments: Any, **named: Any) -> list[Message]:
        found = real_take(*arguments, **named)
        batches.append(sum(len(one.value() or b"") for one in found[: -taking.AT_ONCE]))
        return found

    last = [await pipeline.place(number) for number in range(40)][-1]
    monkeypatch.setattr(recorder, "LARGEST_STATE", 1_500)
    monkeypatch.setattr(relay, "FEW", 3)
    monkeypatch.setattr(relay, "read_weighed", read)
    monkeypatch.setattr(taking, "MOST_BYTES", most_bytes)
    monkeypatch.setattr(taking, "AT_ONCE", 2)
    monkeypatch.setattr(projector, "take", take)
    with pipeline.relay():
        await asyncio.to_thread(published, pipeline, pipeline.kafka.order_topic, 40)
    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, last.position)
    assert 0 < max(sizes) <= 3 * 1_500
    assert 0 < max(batches) < most_bytes
    assert pipeline.assert_views_equal_folds() == 40


async def test_no_more_waits_for_kafka_than_memory_should_hold(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    most_bytes = 4_000
    unsettled, peaks = 0, [0]
    real_send, real_wait = Publisher.send, Publisher.wait

    def send(own: Publisher, entries: Sequence[LogEntry]) -> None:
        nonlocal unsettled
        unsettled += sum(len(one.state) for one in entries)
        peaks.append(unsettled)
        real_send(own, entries)

    def wait(own: Publisher, timeout_s: float) -> bool:
        nonlocal unsettled
        settled = real_wait(own, timeout_s)
        if settled:
            unsettled = 0
        return settled

    for number in range(40):
        await pipeline.place(number)
    monkeypatch.setattr(relay, "MOST_UNSETTLED_BYTES", most_bytes)
    monkeypatch.setattr(recorder, "LARGEST_STATE", 1_500)
    monkeypatch.setattr(relay, "FEW", 3)
    monkeypatch.setattr(Publisher, "send", send)
    monkeypatch.setattr(Publisher, "wait", wait)
    with pipeline.relay():
        await asyncio.to_thread(published, pipeline, pipeline.kafka.order_topic, 40)
    assert 0 < max(peaks) < most_bytes + 3 * 1_500
