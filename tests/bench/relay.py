"""The relay: a log of orders published to a new topic, beside a bare loop over the same messages.

Each turn has a topic of its own, and so begins at the log's beginning. The relay's figure is that
of its durable position; the loop's that of the last acknowledgement.
"""

import secrets
import time
from collections.abc import Sequence
from contextlib import closing
from typing import TypeAlias

import psycopg
from confluent_kafka import KafkaError, Message, Producer

from infrastructure.event_store.recorder import EventLogRecorder, open_datastore
from infrastructure.kafka import messages, topics
from infrastructure.kafka.publisher import PRODUCER
from infrastructure.redis.shard_keys import partition_of
from tests.bench.report import Bar, Row
from tests.bench.rounds import Contender, Effort, interleave
from tests.bench.stack import Platform, Stack
from tests.bench.views import PARTITIONS, place_orders
from tests.bench.watch import watching

EVENTS_PER_S = 30_000
"""How many are in the log per second of measuring; the figure is their number by the time taken."""
LEAST_EVENTS = 10_000
LOOP = "bare producer loop"
ROOM_S = 0.1

Built: TypeAlias = tuple[int, bytes, bytes, messages.Headers]


def measure(stack: Stack, effort: Effort) -> Sequence[Row]:
    platform = stack.platform(kafka=True)
    events = max(LEAST_EVENTS, int(effort.seconds * EVENTS_PER_S))
    place_orders(platform, events)
    built = build(platform, events)
    figures = interleave(
        {"ours": _ours(stack, platform, events), LOOP: _loop(platform, built)}, effort
    )
    bytes_of_one = sum(len(value) for _, _, value, _ in built) / events
    notes = {"events": float(events), "bytes of one value": bytes_of_one}
    return [Row("relay", "events/s", figures, [Bar(LOOP, 0.6)], notes)]


def build(platform: Platform, events: int) -> Sequence[Built]:
    """Build the messages that the relay sends: partition, key, value, headers."""
    built: list[Built] = []
    with closing(open_datastore(platform.owner_url, pool_size=1, connect_timeout_s=5)) as store:
        for entry in EventLogRecorder(store).read_log(after=0, limit=events):
            assert entry.order_id is not None
            partition = partition_of(entry.order_id, PARTITIONS)
            headers = messages.event_headers(entry)
            built.append((partition, str(entry.order_id).encode(), entry.state, headers))
    return built


def _ours(stack: Stack, platform: Platform, events: int) -> Contender:
    def run(_seconds: float) -> float:
        topic = _new_topic(platform)
        settings = {**platform.settings, "ORDERTRAIL_ORDER_TOPIC": topic}
        with psycopg.connect(platform.owner_url, autocommit=True) as connection:

            def position() -> int:
                row = connection.execute(
                    "SELECT position FROM relay_positions WHERE topic_incarnation LIKE %s",
                    [f"%/{topic}/%"],
                ).fetchone()
                return 0 if row is None else int(row[0])

            with watching(position, events) as watch, stack.service("relay", settings):
                return watch.per_second()

    return run


def _loop(platform: Platform, built: Sequence[Built]) -> Contender:
    """Send messages that are ready as fast as the client takes them, and wait for the last one."""

    def run(_seconds: float) -> float:
        topic = _new_topic(platform)
        bootstrap = platform.settings["ORDERTRAIL_KAFKA_BOOTSTRAP"]
        producer = Producer({"bootstrap.servers": bootstrap, **PRODUCER})
        producer.list_topics(topic)  # connected, as the relay is at its first progress
        started = time.perf_counter()
        for partition, key, value, headers in built:
            while True:
                try:
                    producer.produce(
                        topic, value, key, partition, on_delivery=_require, headers=headers
                    )
                except BufferError:
                    producer.poll(ROOM_S)
                else:
                    break
        assert producer.flush(60) == 0
        return len(built) / (time.perf_counter() - started)

    return run


def _new_topic(platform: Platform) -> str:
    topic = f"relay-{secrets.token_hex(4)}"
    client = topics.admin(platform.settings["ORDERTRAIL_KAFKA_BOOTSTRAP"])
    topics.make_topic(client, topic, partitions=PARTITIONS, replication=1)
    return topic


def _require(error: KafkaError | None, _message: Message) -> None:
    assert error is None, error
