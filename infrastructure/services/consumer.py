"""A consumer group that hands batches of events to an async handler, and commits after it.

At least once: what was handled is committed to Kafka every so often, so after a crash, a
rebalance or a wiped Kafka it comes again. Handlers must not mind. What is committed counts for the
topic that was read only: one that was made anew is read from its beginning.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog
from confluent_kafka import Consumer, KafkaException, Message
from prometheus_client import Counter, Gauge

from infrastructure.event_store.mapper import LogEntry
from infrastructure.kafka import messages, topics
from infrastructure.kafka.groups import group_name
from infrastructure.kafka.leaving import leave
from infrastructure.kafka.taking import take
from infrastructure.kafka.topics import TopicChangedError
from infrastructure.processes.worker import Health
from infrastructure.settings import KafkaSettings

BATCH = 1_000
POLL_S = 0.1
COMMIT_EVERY_S = 1.0
CHECK_EVERY_S = 5.0

_log = structlog.get_logger(__name__)
_foreign = Counter(
    "ordertrail_service_foreign_messages", "Messages that we did not write", ["service"]
)
_position = Gauge(
    "ordertrail_service_position", "Log position of the newest event taken", ["service"]
)


async def consume(
    kafka: KafkaSettings,
    group: str,
    handle: Callable[[Sequence[LogEntry]], Awaitable[None]],
    stopping: threading.Event,
    health: Health,
) -> None:
    """Hand over what the group's share of `order-events` brings, until told to stop.

    Raises:
        TopicChangedError: the topic is not there yet, or not any more: begin again.
        KafkaException: Kafka does not answer.
    """
    admin = topics.admin(kafka.kafka_bootstrap)
    topic = await asyncio.to_thread(topics.find_topic, admin, kafka.order_topic)
    if topic is None:
        raise TopicChangedError(f"the relay has not made {kafka.order_topic} yet")
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.kafka_bootstrap,
            "group.id": group_name(group, topic),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "allow.auto.create.topics": False,
            "isolation.level": topics.ISOLATION,
            # Events come in handfuls: up to 50 ms later, they cost Kafka and us half as much.
            "fetch.min.bytes": 100_000,
            "fetch.wait.max.ms": 50,
            "session.timeout.ms": 10_000,
            "log_level": 2,
        }
    )
    # One thread: librdkafka calls back about rebalances from within `consume`.
    with ThreadPoolExecutor(1, thread_name_prefix=f"{group}-consumer") as thread:
        loop = asyncio.get_running_loop()
        take_batch = partial(take, consumer, BATCH, wait_s=POLL_S)
        try:
            consumer.subscribe([kafka.order_topic])
            _log.info("consumer_active", group=group, topic=str(topic))
            committed_at = checked_at = time.monotonic()
            while not stopping.is_set():
                batch = await loop.run_in_executor(thread, take_batch)
                entries = _entries(batch, group)
                await handle(entries)
                for message in batch:
                    consumer.store_offsets(message)
                health.good()
                now = time.monotonic()
                if now - committed_at > COMMIT_EVERY_S:
                    committed_at = now
                    await loop.run_in_executor(thread, _commit, consumer)
                if now - checked_at > CHECK_EVERY_S:
                    checked_at = now
                    found = await asyncio.to_thread(topics.find_topic, admin, kafka.order_topic)
                    if found != topic:
                        raise TopicChangedError(f"{topic} is now {found}")
            await loop.run_in_executor(thread, _commit, consumer)
        finally:
            await loop.run_in_executor(thread, leave, consumer, kafka.kafka_bootstrap)


def _entries(batch: Sequence[Message], group: str) -> Sequence[LogEntry]:
    entries: list[LogEntry] = []
    for message in batch:
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        delivered = messages.read_message(message)
        if delivered.foreign:
            _foreign.labels(group).inc()
        if delivered.entry is not None:
            entries.append(delivered.entry)
    if entries:
        _position.labels(group).set(max(entry.position for entry in entries))
    return entries


def _commit(consumer: Consumer) -> None:
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as error:
        # Nothing new, or a rebalance came first: it is handled again, which nobody minds.
        if error.args[0].name() not in (
            "_NO_OFFSET",
            "ILLEGAL_GENERATION",
            "REBALANCE_IN_PROGRESS",
            "UNKNOWN_MEMBER_ID",
        ):
            raise
