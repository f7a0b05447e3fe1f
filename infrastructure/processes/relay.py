"""The relay: publishes the log to Kafka, in log order, from a durable position.

One relay is active, held by an advisory lock on its own database session; others stand by.
One that is frozen loses its session to a standby; thawed, it may publish what it still held,
which consumers know already by stream and version.
Events may be published again after a crash, never skipped, never out of order for a key.
The position belongs to one incarnation of the topics: another one is published from the
beginning. The lock, the reads and the position share one session: who has lost the lock can't move
the position.

A topic that has lost messages is made anew. To notice that, where the partitions end is stored
with the position, also at the start, before and after its checkpoint. What is sent after that and
lost with a relay that is killed needs no noticing: it is sent once more, with a checkpoint before
it, so nothing new comes to stand where consumers have already read.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import psycopg
import structlog
from confluent_kafka.admin import AdminClient
from prometheus_client import Counter, Gauge
from psycopg.rows import DictRow, dict_row

from infrastructure.event_store.mapper import LogEntry
from infrastructure.event_store.recorder import CHANNEL, read_weighed
from infrastructure.kafka import messages, topics
from infrastructure.kafka.publisher import Publisher
from infrastructure.kafka.topics import Published, TopicChangedError
from infrastructure.postgres.pools import PRIMARY
from infrastructure.processes.worker import Health, run_worker
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
BATCH, FEW = 1_000, 8
"""FEW where a batch would take more than so many of the largest events do, 16 MiB."""
MOST_UNSETTLED_BYTES = 128 * 1_024 * 1_024
"""Sent since Kafka had acknowledged everything."""
NO_JIT = "SET jit = off"
"""How many rows a weighed batch has, PostgreSQL can't guess: it would compile for millions."""
POLL_S = 0.5
"""How long to wait for a notification before looking anyway."""
STANDBY_S = 0.5
MARK_S = 0.5
"""How often the position is stored at most: each time costs a commit, checkpoints for good, and
a wait for Kafka in which nothing else is sent."""
MOST_UNACKNOWLEDGED = 10_000
"""Messages: with so many on their way, reading waits for Kafka."""
LAST_WORDS_S = 1.0
"""How long a relay that is stopped waits for what it has sent."""
ROOM_S = 0.005
"""How long to wait for acknowledgements before looking whether there is room again."""
SENT_S = 0.001
"""How long to push what was sent last towards Kafka: librdkafka knows no less than this."""
CORRELATIONS_LOGGED = 20
_log = structlog.get_logger(__name__)
_published = Counter("ordertrail_relay_events", "Events published and acknowledged by Kafka")
_position = Gauge("ordertrail_relay_position", "Log position up to which everything is published")


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far the log is published, and where Kafka's partitions ended then."""

    position: int
    ends: Sequence[int]


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
            self._postgres_url,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=5,
            target_session_attrs=PRIMARY,
        ) as session:
            session.execute(NO_JIT)
            if not _become_active(session, stopping, health):
                return
            session.execute(f"LISTEN {CHANNEL}")
            client = topics.admin(self._kafka.kafka_bootstrap)
            published = self._published(client)
            mark = _read_mark(session, str(published))
            with closing(Publisher(self._kafka, published, client)) as publisher:
                if mark.ends:
                    publisher.expect(mark.ends)
                else:
                    publisher.require_whole(_read_ours(session))
                for topic in (self._kafka.order_topic, self._kafka.stock_topic):
                    topics.make_fit(client, topic)
                _Follower(session, publisher, health, mark.position).follow(stopping)

    def _published(self, client: AdminClient) -> Published:
        kafka = self._kafka
        names = (kafka.order_topic, kafka.stock_topic)
        found = topics.find_published(client, *names)
        if found is None:
            for name in names:
                topics.make_topic(
                    client,
                    name,
                    partitions=kafka.order_partitions,
                    replication=kafka.kafka_replication,
                )
            found = topics.find_published(client, *names)
        if found is None:
            raise TopicChangedError(f"{' and '.join(names)} were made and are not there")
        topics.require_partitions(found.orders, kafka.order_partitions)
        return found


class _Follower:
    """Reads on and publishes; every so often it makes what is published durable: a mark.

    Reading goes on while Kafka acknowledges what was sent, so neither waits for the other. How
    far the log is published is marked when all that was sent is acknowledged, and only then.
    """

    def __init__(
        self,
        session: psycopg.Connection[DictRow],
        publisher: Publisher,
        health: Health,
        position: int,
    ) -> None:
        self._session = session
        self._publisher = publisher
        self._health = health
        self._incarnation = str(publisher.published)
        self._marked = self._sent = position
        self._marked_at = 0.0
        self._ends: Sequence[int] = ()
        self._first_sent: list[LogEntry] = []
        self._unsettled_bytes = 0

    def follow(self, stopping: threading.Event) -> None:
        _log.info("relay_active", topic=self._incarnation, position=self._marked)
        self._store_mark()  # before anything is sent: what Kafka has by now, it must keep
        self._mark()
        while not stopping.is_set():
            if self._is_news() and self._mark_in_s() <= 0:
                self._mark()
            elif self._is_far_ahead():
                if self._publisher.wait(ROOM_S):
                    self._unsettled_bytes = 0
            elif not self._publish():
                self._rest()
            self._health.good()
            self._publisher.check_topic()
        if self._sent != self._marked and self._publisher.wait(LAST_WORDS_S):
            self._store_mark()

    def _is_far_ahead(self) -> bool:
        """Whether as much waits for Kafka as memory should hold."""
        return (
            self._publisher.unacknowledged >= MOST_UNACKNOWLEDGED
            or self._unsettled_bytes >= MOST_UNSETTLED_BYTES
        )

    def _is_news(self) -> bool:
        """Whether more was sent than is marked; also by a relay that was frozen, and is awake."""
        return self._sent != self._marked or self._publisher.ends != self._ends

    def _publish(self) -> bool:
        """Send the next entries; False if these were the last ones there are."""
        entries = read_weighed(self._session, after=self._sent, limit=BATCH, few=FEW)
        if entries:
            self._publisher.send(entries)
            self._sent = entries[-1].position
            self._unsettled_bytes += sum(len(one.state) for one in entries)
            self._first_sent += entries[: CORRELATIONS_LOGGED - len(self._first_sent)]
        return len(entries) in (BATCH, FEW)

    def _mark_in_s(self) -> float:
        return self._marked_at + MARK_S - time.monotonic()

    def _rest(self) -> None:
        """Let nothing linger, then sleep until the database tells of more, or a mark is due.

        Who has caught up with a long way marks it at once: it may be all there is.
        """
        if self._sent - self._marked >= BATCH:
            self._mark()
            return
        self._publisher.wait(SENT_S)
        timeout_s = POLL_S if self._sent == self._marked else max(0.0, self._mark_in_s())
        for _ in self._session.notifies(timeout=timeout_s, stop_after=1):
            pass  # all that came, also during the last look: one more look answers them

    def _mark(self) -> None:
        """Send a checkpoint, wait until Kafka has everything, and store how far that is."""
        self._publisher.send_checkpoint(self._sent)
        while not self._publisher.wait(1.0):
            # Kafka may be away for long: show that this relay lives, and see that it has the lock.
            self._session.execute("SELECT 1")
            # And it may come back empty: don't wait on a topic that is gone.
            self._publisher.check_topic()
        self._store_mark()

    def _store_mark(self) -> None:
        self._unsettled_bytes = 0
        self._ends = self._publisher.read_ends()
        _write_mark(self._session, self._incarnation, _Mark(self._sent, self._ends))
        if self._sent != self._marked:
            self._tell()
            self._marked_at = time.monotonic()
        self._marked = self._sent
        _position.set(self._marked)

    def _tell(self) -> None:
        events = self._sent - self._marked  # positions have no gaps
        _published.inc(events)
        ids = dict.fromkeys(messages.correlation_id(entry) for entry in self._first_sent)
        self._first_sent.clear()
        _log.info(
            "published",
            events=events,
            first=self._marked + 1,
            last=self._sent,
            correlation_ids=list(ids),
        )


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


def _read_mark(session: psycopg.Connection[DictRow], incarnation: str) -> _Mark:
    """Look up how far a topic is published; a mark that the log has not come to yet is none."""
    row = session.execute(
        "SELECT ends, CASE WHEN position <= (SELECT coalesce(max(notification_id), 0) FROM events)"
        " THEN position ELSE 0 END AS position FROM relay_positions WHERE topic_incarnation = %s",
        [incarnation],
    ).fetchone()
    return _Mark(0, ()) if row is None else _Mark(row["position"], row["ends"])


def _read_ours(session: psycopg.Connection[DictRow]) -> set[str]:
    """Name the incarnations of topics that were ever published to."""
    rows = session.execute("SELECT topic_incarnation FROM relay_positions").fetchall()
    return {one for row in rows for one in row["topic_incarnation"].split()}


def _write_mark(session: psycopg.Connection[DictRow], incarnation: str, mark: _Mark) -> None:
    session.execute(
        "INSERT INTO relay_positions (topic_incarnation, position, ends) VALUES (%s, %s, %s)"
        " ON CONFLICT (topic_incarnation) DO UPDATE"
        " SET position = excluded.position, ends = excluded.ends",
        [incarnation, mark.position, list(mark.ends)],
    )
