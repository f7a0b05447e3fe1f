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
from dataclasses import replace

import redis
import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from prometheus_client import Counter
from redis.exceptions import RedisClusterException, RedisError

from infrastructure import composition
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.kafka import messages, topics
from infrastructure.kafka.leaving import leave
from infrastructure.kafka.messages import Delivered
from infrastructure.kafka.taking import take
from infrastructure.kafka.topics import Incarnation, TopicChangedError
from infrastructure.processes.batches import Batches
from infrastructure.processes.shard_projection import ShardProjection
from infrastructure.processes.worker import Health, run_worker
from infrastructure.redis.generations import Generations
from infrastructure.settings import KafkaSettings, Settings

BATCH = 500
POLL_S = 0.2
CHECK_S = 2.0
"""How often it makes sure that neither Kafka nor Redis was wiped, and commits its offsets."""
ASSIGNED_WITHIN_S = 20.0
"""How long to wait for partitions: a dead member's 10 s, and some. Kafka may forget who waits."""

_log = structlog.get_logger(__name__)
_foreign = Counter("ordertrail_projector_foreign_messages", "Messages that we did not write")


def serve(port: int) -> None:
    """Run the projector until SIGTERM."""
    settings = Settings()
    reader = composition.order_reader(settings.store, pool_size=2)
    client = composition.redis_client(settings.views)
    projector = Projector(settings.kafka, client, reader)
    run_worker("projector", projector.work, host=settings.http.http_host, port=port)


class NotAssignedError(Exception):
    """The group gave no answer, not even that there are no partitions to spare: join it anew."""


class Projector:
    """One member of the consumer group."""

    def __init__(self, kafka: KafkaSettings, client: "redis.Redis", reader: OrderReader) -> None:
        self._kafka = kafka
        self._client = client
        self._reader = reader

    def work(self, stopping: threading.Event, health: Health) -> None:
        """Project until told to stop; a fault ends it, to begin again from Redis's progress."""
        try:
            self._work(stopping, health)
        except (RedisError, RedisClusterException):
            # Behind the name there may be another server by now; a cluster's client looks itself.
            if isinstance(self._client, redis.Redis):
                self._client.connection_pool.disconnect()
            raise

    def _work(self, stopping: threading.Event, health: Health) -> None:
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
                if subscription.is_assigned():
                    health.good()
                if time.monotonic() - checked_at > CHECK_S:
                    checked_at = time.monotonic()
                    subscription.check_progress()
                    subscription.commit()
                    found = topics.find_topic(admin, self._kafka.order_topic)
                    if found != topic:
                        raise TopicChangedError(f"{topic} is now {found}")


class _Subscription:
    """The partitions assigned now, each with its shard."""

    def __init__(
        self, kafka: KafkaSettings, topic: Incarnation, client: "redis.Redis", reader: OrderReader
    ) -> None:
        self._topic = topic
        self._bootstrap = kafka.kafka_bootstrap
        self._generations = Generations(client, topic.partitions)
        self._reader = reader
        self._batches = Batches(client, reader)
        self._shards: dict[int, ShardProjection] = {}
        self._assigned = False
        self._fault: Exception | None = None
        self._waits_since = time.monotonic()
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka.kafka_bootstrap,
                "group.id": kafka.projector_group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "range",
                "allow.auto.create.topics": False,
                "isolation.level": topics.ISOLATION,
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

    def is_assigned(self) -> bool:
        """Say whether the group has given this member its share, which may be none.

        Raises:
            NotAssignedError: it has waited for that for too long.
        """
        if not self._assigned and time.monotonic() - self._waits_since > ASSIGNED_WITHIN_S:
            raise NotAssignedError(f"no assignment after {ASSIGNED_WITHIN_S:.0f} s")
        return self._assigned

    def project_batch(self) -> None:
        """Take what Kafka has now and apply it, all partitions at once."""
        delivered: dict[int, list[Delivered]] = defaultdict(list)
        taken = take(self._consumer, BATCH, wait_s=POLL_S)
        if self._fault is not None:
            raise self._fault
        for message in taken:
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            one = messages.read_message(message)
            if one.foreign:
                _foreign.inc()
            elif not one.is_for(self._topic.topic_id):
                # A relay that was frozen had it: what came before it here does not come before it.
                one = replace(one, entry=None, position=0)
            delivered[one.partition].append(one)
        # One that was revoked since its messages were fetched is another member's now.
        batch = [
            (self._shards[one], news) for one, news in delivered.items() if one in self._shards
        ]
        for shard in self._batches.project(batch):
            self._read_on(shard, self._progress(shard))

    def check_progress(self) -> None:
        """Notice a wiped Redis also while no message comes that would run into it."""
        for shard in self._shards.values():
            stored = self._progress(shard)
            if stored != shard.progress:
                self._read_on(shard, stored)

    def commit(self) -> None:
        """Tell Kafka's tools where reading goes on. Each batch would cost Kafka more than it is."""
        offsets = [
            TopicPartition(self._topic.topic, partition, shard.next_offset)
            for partition, shard in self._shards.items()
        ]
        if offsets:
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def close(self) -> None:
        leave(self._consumer, self._bootstrap)

    def _progress(self, shard: ShardProjection) -> Mapping[int, str]:
        """Ask a shard for its progress, and see that it feeds the generation that is read.

        It does, unless a node of a cluster was wiped alone. The pointer is asked for after the
        shard: a generation is fed long before it is read, and as long as it is.
        """
        stored = shard.writer.progress()
        live = self._generations.live()
        if live in stored:
            return stored
        shard.writer.join(live)
        return shard.writer.progress()

    def _read_on(self, shard: ShardProjection, stored: Mapping[int, str]) -> None:
        """Go on from what Redis has: other generations are fed, or what was applied is lost."""
        offset = shard.resume(stored)
        _log.warning("progress_moved", partition=shard.partition, offset=offset)
        self._consumer.seek(TopicPartition(self._topic.topic, shard.partition, offset))

    def _on_assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        # Raised through the client it would never be let go of, nor would what its frames hold.
        try:
            self._assign(consumer, partitions)
        except Exception as fault:  # noqa: BLE001 - raised again behind the call
            self._fault = fault

    def _assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._shards = {
            one.partition: ShardProjection(
                self._generations.shards[one.partition], self._reader, self._topic, one.partition
            )
            for one in partitions
        }
        for one in partitions:
            shard = self._shards[one.partition]
            one.offset = shard.resume(self._progress(shard))
        consumer.assign(list(partitions))
        self._assigned = True
        _log.info("partitions_assigned", offsets={one.partition: one.offset for one in partitions})

    def _on_revoke(self, _consumer: Consumer, _partitions: Sequence[TopicPartition]) -> None:
        self._shards = {}
        self._assigned, self._waits_since = False, time.monotonic()
