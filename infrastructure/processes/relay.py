"""The relay: publishes the log to Kafka, in log order, from a durable position.

One relay is active, held by an advisory lock on its own database session; others stand by.
One that is frozen loses its session to a standby; thawed, it may publish what it still held,
which consumers know already by stream and version.
Events may be published again after a crash, never skipped, never out of order for a key.
The position belongs to one incarnation of the topic: another one is published from the
beginning. The lock, the reads and the position share one session: who has lost the lock
can't move the position.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import closing

import psycopg
import structlog
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient
from prometheus_client import Counter, Gauge
from psycopg.rows import DictRow, dict_row

from infrastructure.event_store.mapper import LogEntry
from infrastructure.event_store.recorder import CHANNEL, read_log
from infrastructure.kafka import messages, topics
from infrastructure.kafka.topics import Incarnation, TopicChangedError
from infrastructure.processes.worker import Health, run_worker
from infrastructure.redis.layout import partition_of
from infrastructure.settings import KafkaSettings, Settings

LOCK = "SELECT pg_try_advisory_lock(hashtextextended('ordertrail.relay', 0)) AS held"
END_FROZEN = """
    SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()
      AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('ordertrail.relay', 0)
      AND a.state_change < clock_timestamp() - make_interval(secs => %s)
"""
FROZEN_S = 10.0
"""An active relay that has asked its session nothing for so long is frozen, and loses it."""
BATCH = 1_000
POLL_S = 0.5
"""How long to wait for a notification before looking anyway."""
STANDBY_S = 0.5
CHECK_TOPIC_S = 5.0
CORRELATIONS_LOGGED = 20
PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 1,
    "compression.type": "lz4",
    "allow.auto.create.topics": False,
    "log_level": 2,
}
"""The idempotent producer's settings, but for where Kafka is."""

_log = structlog.get_logger(__name__)
_published = Counter("ordertrail_relay_events", "Events published and acknowledged by Kafka")
_position = Gauge("ordertrail_relay_position", "Log position up to which everything is published")


class DeliveryError(Exception):
    """Kafka did not take a message."""


def serve(port: int) -> None:
    """Run the relay until SIGTERM."""
    settings = Settings()
    relay = Relay(settings.store.postgres_url.get_secret_value(), settings.kafka)
    run_worker("relay", relay.work, host=settings.http.http_host, port=port)


class Relay:
    """Follows the log for one topic."""

    def __init__(self, postgres_url: str, kafka: KafkaSettings) -> None:
        self._postgres_url = postgres_url
        self._kafka = kafka

    def work(self, stopping: threading.Event, health: Health) -> None:
        """Publish until told to stop; any fault ends it, to begin again from what is durable."""
        with psycopg.connect(
            self._postgres_url, autocommit=True, row_factory=dict_row, connect_timeout=5
        ) as session:
            if not _become_active(session, stopping, health):
                return
            session.execute(f"LISTEN {CHANNEL}")
            client = topics.admin(self._kafka.kafka_bootstrap)
            incarnation = self._topic(client)
            with closing(_Publisher(self._kafka, incarnation, client, session)) as publisher:
                self._follow(session, publisher, stopping, health)

    def _topic(self, client: AdminClient) -> Incarnation:
        found = topics.find_topic(client, self._kafka.order_topic)
        if found is None:
            topics.make_topic(
                client,
                self._kafka.order_topic,
                partitions=self._kafka.order_partitions,
                replication=self._kafka.kafka_replication,
            )
            found = topics.find_topic(client, self._kafka.order_topic)
        if found is None:
            raise TopicChangedError(f"{self._kafka.order_topic} was made and is not there")
        topics.require_partitions(found, self._kafka.order_partitions)
        return found

    def _follow(
        self,
        session: psycopg.Connection[DictRow],
        publisher: "_Publisher",
        stopping: threading.Event,
        health: Health,
    ) -> None:
        incarnation = str(publisher.incarnation)
        position = _read_position(session, incarnation)
        _log.info("relay_active", topic=incarnation, position=position)
        publisher.checkpoint(position)
        while not stopping.is_set():
            entries = read_log(session, after=position, limit=BATCH)
            if entries:
                publisher.publish(entries)
                position = entries[-1].position
                _write_position(session, incarnation, position)
                _tell(entries)
            health.good()
            _position.set(position)
            if len(entries) < BATCH:
                _await_events(session)
            publisher.check_topic()


class _Publisher:
    """The idempotent producer: what it has not acknowledged, it has not taken."""

    def __init__(
        self,
        kafka: KafkaSettings,
        incarnation: Incarnation,
        client: AdminClient,
        session: psycopg.Connection[DictRow],
    ) -> None:
        self.incarnation = incarnation
        self._session = session
        self._client = client
        self._topic = kafka.order_topic
        self._checked_at = time.monotonic()
        self._refused: list[KafkaError] = []
        self._producer = Producer({"bootstrap.servers": kafka.kafka_bootstrap, **PRODUCER})

    def publish(self, entries: Sequence[LogEntry]) -> None:
        """Publish entries in order, and a checkpoint; wait until Kafka has them all.

        Raises:
            DeliveryError: Kafka refused one; what came before it may be published.
        """
        for entry in entries:
            if entry.order_id is None:
                raise DeliveryError(f"{entry.stream} belongs to no order")
            self._produce(
                partition_of(entry.order_id, self.incarnation.partitions),
                str(entry.order_id).encode(),
                entry.state,
                messages.event_headers(entry),
            )
        self.checkpoint(entries[-1].position)

    def checkpoint(self, position: int) -> None:
        """Tell every partition that it has all events up to `position`: they stand before this."""
        headers = messages.checkpoint_headers(position)
        for partition in range(self.incarnation.partitions):
            self._produce(partition, None, b"", headers)
        self._await_acknowledgements()

    def check_topic(self) -> None:
        """Make sure, every few seconds, that Kafka was not wiped meanwhile."""
        if time.monotonic() - self._checked_at < CHECK_TOPIC_S:
            return
        self._checked_at = time.monotonic()
        found = topics.find_topic(self._client, self._topic)
        if found != self.incarnation:
            raise TopicChangedError(f"{self.incarnation} is now {found}")

    def close(self) -> None:
        """Drop what was not acknowledged: it is published again from the durable position."""
        self._producer.purge()
        self._producer.flush(1.0)

    def _produce(
        self, partition: int, key: bytes | None, value: bytes, headers: messages.Headers
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value=value,
                    key=key,
                    partition=partition,
                    headers=headers,
                    on_delivery=self._on_delivery,
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _await_acknowledgements(self) -> None:
        while self._producer.flush(1.0):
            # Kafka may be away for long: show that this relay lives, and see that it has the lock.
            self._session.execute("SELECT 1")
            # And it may come back empty: don't wait on a topic that is gone.
            self.check_topic()
            self._raise_refused()
        self._raise_refused()

    def _raise_refused(self) -> None:
        if self._refused:
            raise DeliveryError(str(self._refused[0]))

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._refused.append(error)


def _become_active(
    session: psycopg.Connection[DictRow], stopping: threading.Event, health: Health
) -> bool:
    """Wait for the lock; False if told to stop first."""
    while not stopping.is_set():
        row = session.execute(LOCK).fetchone()
        if row is not None and row["held"]:
            return True
        health.good()  # standing by is what a second relay is for
        if session.execute(END_FROZEN, [FROZEN_S]).fetchall():
            _log.warning("frozen_relay_ended", after_s=FROZEN_S)
            continue
        stopping.wait(STANDBY_S)
    return False


def _await_events(session: psycopg.Connection[DictRow]) -> None:
    for _ in session.notifies(timeout=POLL_S, stop_after=1):
        return


def _read_position(session: psycopg.Connection[DictRow], incarnation: str) -> int:
    row = session.execute(
        "SELECT position FROM relay_positions WHERE topic_incarnation = %s", [incarnation]
    ).fetchone()
    return 0 if row is None else int(row["position"])


def _write_position(session: psycopg.Connection[DictRow], incarnation: str, position: int) -> None:
    session.execute(
        "INSERT INTO relay_positions VALUES (%s, %s)"
        " ON CONFLICT (topic_incarnation) DO UPDATE SET position = excluded.position",
        [incarnation, position],
    )


def _tell(entries: Sequence[LogEntry]) -> None:
    _published.inc(len(entries))
    _log.info(
        "published",
        events=len(entries),
        first=entries[0].position,
        last=entries[-1].position,
        correlation_ids=list(
            dict.fromkeys(messages.correlation_id(entry) for entry in entries[:CORRELATIONS_LOGGED])
        ),
    )
