"""A service's consumer skips nothing, whatever becomes of the topic under it, on a real Kafka."""

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from domain.ids import OrderId, order_stream
from infrastructure.event_store.mapper import LogEntry
from infrastructure.kafka import messages, topics
from infrastructure.kafka.topics import Incarnation, TopicChangedError
from infrastructure.processes.worker import Health
from infrastructure.services import consumer
from infrastructure.settings import KafkaSettings

WITHIN_S = 30.0
LONG_S = 3_600.0
STATE = b'{"correlation_id": "c"}'
ORDER = OrderId(uuid4())
STREAM = order_stream(ORDER)


@dataclass
class Group:
    """A service's group on a topic of one partition, and what its handler has got."""

    kafka: KafkaSettings
    name: str = field(default_factory=lambda: f"service-{secrets.token_hex(4)}")
    handled: list[int] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    until: int = 0

    def make_topic(self, events: int) -> Incarnation:
        """Make the topic, and publish so many events."""
        admin, name = topics.admin(self.kafka.kafka_bootstrap), self.kafka.order_topic
        topics.make_topic(admin, name, partitions=1, replication=1)
        self.publish(range(1, events + 1))
        found = topics.find_topic(admin, name)
        assert found is not None
        return found

    def publish(self, positions: Sequence[int]) -> None:
        producer = Producer({"bootstrap.servers": self.kafka.kafka_bootstrap})
        for one in positions:
            now = datetime.now(UTC)
            entry = LogEntry(one, STREAM, one, "order.placed.v2", STATE, now, ORDER)
            producer.produce(
                self.kafka.order_topic, STATE, str(ORDER), 0, headers=messages.event_headers(entry)
            )
        assert producer.flush(WITHIN_S) == 0

    def delete_topic(self) -> None:
        admin, name = topics.admin(self.kafka.kafka_bootstrap), self.kafka.order_topic
        admin.delete_topics([name])[name].result()

    @asynccontextmanager
    async def consuming(self, *, until: int) -> AsyncIterator["asyncio.Task[None]"]:
        """Run a consumer, and wait until it has taken the event at a position.

        There it hangs, as if frozen, until it may `go_on`.
        """
        self.handled.clear()
        self.reached.clear()
        self.until = until
        stopping = threading.Event()
        task = asyncio.create_task(
            consumer.consume(self.kafka, self.name, self.handle, stopping, Health())
        )
        async with asyncio.timeout(WITHIN_S):
            reached = asyncio.create_task(self.reached.wait())
            await asyncio.wait([task, reached], return_when=asyncio.FIRST_COMPLETED)
            reached.cancel()
            try:
                yield task
            finally:
                stopping.set()
                self.go_on.set()
            await task

    async def handle(self, entries: Sequence[LogEntry]) -> None:
        self.handled += [entry.position for entry in entries]
        if self.until in self.handled:
            self.reached.set()
            await self.go_on.wait()


@pytest.fixture
def group(kafka_bootstrap: str) -> Group:
    topic = f"order-events-{secrets.token_hex(4)}"
    return Group(KafkaSettings(kafka_bootstrap=kafka_bootstrap, order_topic=topic))


async def test_what_was_handled_is_not_handed_over_again(group: Group) -> None:
    await asyncio.to_thread(group.make_topic, 5)
    async with group.consuming(until=5):
        assert group.handled == [1, 2, 3, 4, 5]
    await asyncio.to_thread(group.publish, [6])
    async with group.consuming(until=6):
        assert group.handled == [6]


async def test_a_topic_made_anew_under_a_frozen_service_is_handled_from_its_beginning(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Awake again, it commits the old topic's offset; that must count for nothing in the new."""
    monkeypatch.setattr(consumer, "COMMIT_EVERY_S", 0.0)
    monkeypatch.setattr(consumer, "CHECK_EVERY_S", LONG_S)
    before = await asyncio.to_thread(group.make_topic, 5)
    async with group.consuming(until=5):
        await asyncio.to_thread(group.delete_topic)
        after = await asyncio.to_thread(group.make_topic, 8)
        assert after != before
    async with group.consuming(until=8):
        assert group.handled == [*range(1, 9)]


async def test_a_service_under_which_the_topic_is_made_anew_begins_again(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "COMMIT_EVERY_S", 0.0)
    monkeypatch.setattr(consumer, "CHECK_EVERY_S", 0.0)
    await asyncio.to_thread(group.make_topic, 5)

    async def make_anew() -> None:
        async with group.consuming(until=5) as task:
            await asyncio.to_thread(group.delete_topic)
            await asyncio.to_thread(group.make_topic, 8)
            group.go_on.set()
            await asyncio.wait([task])

    with pytest.raises(TopicChangedError):
        await make_anew()
    async with group.consuming(until=8):
        assert group.handled == [*range(1, 9)]
