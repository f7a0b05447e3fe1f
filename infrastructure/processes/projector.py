"""The projector: builds the read models from Kafka, exactly once, as a consumer group.

Where a partition is read on from is kept in Redis, in its shard, and moves in the same script
as the documents. So a redelivery, a rebalance, a second projector, lost offsets, a wiped
Redis and a wiped Kafka are all the same case: read the shard's progress, go on from there.
The offsets committed to Kafka are for its tools only.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing

import redis
import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from prometheus_client import Counter, Gauge, Histogram

from domain.ids import OrderId
from infrastructure import composition
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.kafka import messages, topics
from infrastructure.kafka.messages import Delivered
from infrastructure.kafka.topics import Incarnation, TopicChangedError
from infrastructure.processes.worker import Health, run_worker
from infrastructure.redis import layout
from infrastructure.redis.layout import StoredDocument
from infrastructure.redis.shard import (
    Change,
    DocumentMovedError,
    ProgressMovedError,
    ShardWriter,
)
from infrastructure.settings import KafkaSettings, Settings
from projections.order.document import GapError, OrderDocument, project

BATCH = 500
POLL_S = 0.2
CHECK_S = 2.0
"""How often a quiet projector makes sure that neither Kafka nor Redis was wiped."""
ATTEMPTS = 5
"""Times a batch is folded again because a document was changed meanwhile."""
CORRELATIONS_LOGGED = 20

_log = structlog.get_logger(__name__)
_applied = Counter("ordertrail_projector_events", "Events taken into documents")
_gaps = Counter("ordertrail_projector_gaps", "Orders folded from the store to close a gap")
_delay = Histogram(
    "ordertrail_projector_delay_seconds",
    "From recorded in the log to readable in Redis, for the newest event of a batch",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600),
)
_position = Gauge(
    "ordertrail_projector_position", "Log position the shard is complete to", ["partition"]
)


def serve(port: int) -> None:
    """Run the projector until SIGTERM."""
    settings = Settings()
    reader = composition.order_reader(settings.store, pool_size=2)
    client = composition.redis_client(settings.views)
    run_worker(Projector(settings.kafka, client, reader).work, port=port)


class Projector:
    """One member of the consumer group."""

    def __init__(self, kafka: KafkaSettings, client: "redis.Redis", reader: OrderReader) -> None:
        self._kafka = kafka
        self._client = client
        self._reader = reader

    def work(self, stopping: threading.Event, health: Health) -> None:
        """Project until told to stop; a fault ends it, to begin again from Redis's progress."""
        admin = topics.admin(self._kafka.kafka_bootstrap)
        topic = topics.find_topic(admin, self._kafka.order_topic)
        if topic is None:
            raise TopicChangedError(f"the relay has not made {self._kafka.order_topic} yet")
        topics.require_partitions(topic, self._kafka.order_partitions)
        checked_at = time.monotonic()
        with closing(_Subscription(self._kafka, topic, self._client, self._reader)) as subscription:
            _log.info("projector_active", topic=str(topic))
            while not stopping.is_set():
                subscription.project_batch()
                health.good()
                if time.monotonic() - checked_at > CHECK_S:
                    checked_at = time.monotonic()
                    subscription.check_progress()
                    found = topics.find_topic(admin, self._kafka.order_topic)
                    if found != topic:
                        raise TopicChangedError(f"{topic} is now {found}")


class _Subscription:
    """The partitions assigned now, each with its shard."""

    def __init__(
        self, kafka: KafkaSettings, topic: Incarnation, client: "redis.Redis", reader: OrderReader
    ) -> None:
        self._topic = topic
        self._client = client
        self._reader = reader
        self._shards: dict[int, _Shard] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka.kafka_bootstrap,
                "group.id": kafka.projector_group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "range",
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": 100,
                "fetch.queue.backoff.ms": 10,
                "queued.max.messages.kbytes": 16_384,
                "session.timeout.ms": 10_000,
                "log_level": 2,
            }
        )
        self._consumer.subscribe(
            [topic.topic], on_assign=self._on_assign, on_revoke=self._on_revoke
        )

    def project_batch(self) -> None:
        """Take what Kafka has now and apply it, partition by partition."""
        delivered: dict[int, list[Delivered]] = defaultdict(list)
        for message in self._consumer.consume(BATCH, POLL_S):
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            one = messages.read_message(message)
            delivered[one.partition].append(one)
        for partition, batch in delivered.items():
            self._project(partition, batch)

    def check_progress(self) -> None:
        """Notice a wiped Redis also while no message comes that would run into it."""
        for partition, shard in self._shards.items():
            stored = shard.writer.progress()
            if stored != shard.progress:
                self._read_on(partition, shard, stored)

    def close(self) -> None:
        self._consumer.close()

    def _project(self, partition: int, batch: Sequence[Delivered]) -> None:
        shard = self._shards[partition]
        try:
            shard.project(batch)
        except ProgressMovedError as moved:
            self._read_on(partition, shard, moved.stored)
            return
        self._consumer.commit(
            offsets=[TopicPartition(self._topic.topic, partition, shard.next_offset)],
            asynchronous=True,
        )

    def _read_on(self, partition: int, shard: "_Shard", stored: str) -> None:
        """Go on from what Redis has: another projector was here, or what was applied is lost."""
        offset = shard.resume(stored)
        _log.warning("progress_moved", partition=partition, offset=offset)
        self._consumer.seek(TopicPartition(self._topic.topic, partition, offset))

    def _on_assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._shards = {
            one.partition: _Shard(
                ShardWriter(self._client, one.partition), self._reader, self._topic, one.partition
            )
            for one in partitions
        }
        for one in partitions:
            shard = self._shards[one.partition]
            one.offset = shard.resume(shard.writer.progress())
        consumer.assign(list(partitions))
        _log.info("partitions_assigned", offsets={one.partition: one.offset for one in partitions})

    def _on_revoke(self, _consumer: Consumer, _partitions: Sequence[TopicPartition]) -> None:
        self._shards = {}


class _Shard:
    """One partition and the shard of the read models that it feeds."""

    def __init__(
        self, writer: ShardWriter, reader: OrderReader, topic: Incarnation, partition: int
    ) -> None:
        self.writer = writer
        self.next_offset = 0
        self.progress = ""
        self._reader = reader
        self._topic = topic
        self._partition = partition

    def resume(self, stored: str) -> int:
        """Take the shard's stored progress; give the offset to read on from."""
        self.progress = stored
        incarnation, _, offset = stored.rpartition(" ")
        self.next_offset = int(offset) if incarnation == str(self._topic) else 0
        return self.next_offset

    def project(self, batch: Sequence[Delivered]) -> None:
        """Apply a batch once, whole. Raises ProgressMovedError with nothing applied."""
        batch = [one for one in batch if one.next_offset > self.next_offset]
        if not batch:
            return
        last = batch[-1]
        after = f"{self._topic} {last.next_offset}"
        for _ in range(ATTEMPTS):
            changes = self._changes(batch)
            try:
                self.writer.apply(
                    changes, before=self.progress, after=after, position=last.position
                )
            except DocumentMovedError:
                continue
            self.progress, self.next_offset = after, last.next_offset
            self._tell(batch)
            return
        raise DocumentMovedError(f"partition {self._partition}: documents kept moving")

    def _changes(self, batch: Sequence[Delivered]) -> Sequence[Change]:
        entries = [one.entry for one in batch if one.entry is not None]
        recorded = self._reader.open(entries)
        touched = list(dict.fromkeys(_order_of(one.order_id) for one in recorded))
        read: Mapping[OrderId, StoredDocument | None] = self.writer.read(touched)
        before = {
            order_id: None if stored is None else layout.to_document(stored)
            for order_id, stored in read.items()
        }
        after: dict[OrderId, OrderDocument | None] = dict(before)
        for one in recorded:
            order_id = _order_of(one.order_id)
            try:
                after[order_id] = project(after[order_id], one)
            except GapError:
                _gaps.inc()
                after[order_id] = self._reader.fold(order_id)
        return [
            Change(read[order_id], document)
            for order_id, document in after.items()
            if document is not None and document is not before[order_id]
        ]

    def _tell(self, batch: Sequence[Delivered]) -> None:
        last = batch[-1]
        _position.labels(str(self._partition)).set(last.position)
        events = [one for one in batch if one.entry is not None]
        if not events:
            return
        _applied.inc(len(events))
        newest = events[-1].entry
        if newest is not None:
            _delay.observe(max(0.0, time.time() - newest.recorded_at.timestamp()))
        _log.info(
            "applied",
            partition=self._partition,
            events=len(events),
            first=events[0].position,
            last=events[-1].position,
            correlation_ids=list(
                dict.fromkeys(one.correlation_id for one in events[:CORRELATIONS_LOGGED])
            ),
        )


def _order_of(order_id: OrderId | None) -> OrderId:
    if order_id is None:
        raise AssertionError("every event of this topic belongs to an order")
    return order_id
