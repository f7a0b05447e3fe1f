"""The relay's producer: idempotent, and in the log's order.

Rule: what it has not said to be acknowledged, it has not published. It tells only whether all
that it was given is acknowledged: between two such moments messages of one partition can't be
lost or overtaken, but one partition may be ahead of another.

What was acknowledged must be there: whenever it looks where the partitions begin and end, each
must have its first message, what it had before, and all that was sent since. So a loss is noticed
before a position is stored on top of it, however much was sent meanwhile.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import NoReturn
from zlib import crc32

import msgspec
import structlog
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient
from prometheus_client import Counter

from domain.ids import sku_of_stream
from infrastructure.event_store.mapper import LogEntry
from infrastructure.kafka import ends, messages, topics
from infrastructure.kafka.ends import Bounds
from infrastructure.kafka.messages import Headers
from infrastructure.kafka.topics import ForeignTopicError, Incarnation, Published, TopicChangedError
from infrastructure.redis.shard_keys import partition_of
from infrastructure.settings import KafkaSettings

CHECK_TOPIC_S = 5.0
ROOM_S = 0.1
PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    # Never given up on here: of two messages the first must not expire and the second arrive.
    "message.timeout.ms": 0,
    # For whole batches when there is much to send; `wait` cuts it short, but for what finds five
    # batches under way.
    "linger.ms": 5,
    "compression.type": "lz4",
    "message.max.bytes": topics.LARGEST_MESSAGE,
    "allow.auto.create.topics": False,
    # A success is nobody's concern by itself: that all are acknowledged is asked for.
    "delivery.report.only.error": True,
    "log_level": 2,
}
"""The producer's settings, but for where Kafka is."""


_log = structlog.get_logger(__name__)
_homeless = Counter(
    "ordertrail_relay_homeless_events", "Events of no order and no sku, which no topic takes"
)


class DeliveryError(Exception):
    """Kafka did not take a message."""


class Publisher:
    """Attributes: published: the topics that it publishes to, and no others of their names."""

    def __init__(self, kafka: KafkaSettings, published: Published, client: AdminClient) -> None:
        self.published = published
        self._client = client
        self._topic, self._stock_topic = kafka.order_topic, kafka.stock_topic
        self._checked_at = -CHECK_TOPIC_S
        self._ends: Sequence[int] = ()
        # The topic of orders first, as in `_ends`.
        self._places = {self._topic: 0, self._stock_topic: published.orders.partitions}
        self._sent = self._nothing_sent()
        self._ends_reader = ends.reader(kafka.kafka_bootstrap)
        self._refused: list[KafkaError] = []
        self._producer = Producer({"bootstrap.servers": kafka.kafka_bootstrap, **PRODUCER})

    def send(self, entries: Sequence[LogEntry]) -> None:
        """Hand entries over, in order: those of orders by order, those of stock by sku.

        One that is neither is passed over, and counted.
        """
        partitions = self.published.orders.partitions
        for entry in entries:
            if entry.order_id is None:
                self._send_stock(entry)
                continue
            self._produce(
                self._topic,
                partition_of(entry.order_id, partitions),
                msgspec.to_builtins(entry.order_id),  # as str() has it, in a quarter of its time
                entry.state,
                messages.event_headers(entry, self.published.orders.topic_id),
            )

    def _send_stock(self, entry: LogEntry) -> None:
        sku = sku_of_stream(entry.stream)
        if sku is None:
            _homeless.inc()
            _log.error("event_of_no_order", position=entry.position, type=entry.type)
            return
        # All locations of a sku in one partition, so that its events keep their order.
        partition = crc32(sku.encode()) % self.published.stock.partitions
        headers = messages.event_headers(entry, self.published.stock.topic_id)
        self._produce(self._stock_topic, partition, sku, entry.state, headers)

    def send_checkpoint(self, position: int) -> None:
        """Tell every partition that it has all events up to `position`: they stand before this."""
        headers = messages.checkpoint_headers(position, self.published.orders.topic_id)
        for partition in range(self.published.orders.partitions):
            self._produce(self._topic, partition, None, b"", headers)

    @property
    def unacknowledged(self) -> int:
        """How many messages Kafka may not have yet."""
        return len(self._producer)

    def wait(self, timeout_s: float) -> bool:
        """Send without lingering, and wait until all is acknowledged; False if it is not by then.

        Raises:
            DeliveryError: Kafka refused a message; others may be published.
        """
        left = self._producer.flush(timeout_s)
        if self._refused:
            raise DeliveryError(str(self._refused[0]))
        return left == 0

    @property
    def ends(self) -> Sequence[int]:
        """Where the partitions ended when all was acknowledged last: none may end before that."""
        return self._ends

    def expect(self, at_least: Sequence[int]) -> None:
        """Say where the partitions ended before this began."""
        self._ends = at_least

    def require_whole(self, ours: Collection[str]) -> None:
        """Refuse a topic that may be another's, before anything is done to it.

        `ours`: those that were ever published to, also beside others than now: who removes both
        may be ended after the first.

        Raises:
            ForeignTopicError: one has lost its beginning, and not all that they have is ours.
            TopicChangedError: one has, and all is ours, so they are removed.
            KafkaException: Kafka is away, or a topic is gone.
        """
        bounds = self._ask_bounds()
        if all(at.begin == 0 for at in _flat(bounds)):
            return
        for one in self._topics:
            if str(one) not in ours and any(at.end > 0 for at in bounds[one.topic]):
                raise ForeignTopicError(
                    f"{self._topic} or {self._stock_topic} has lost its first messages, and nothing"
                    f" says that what {one.topic} has is ours: name another topic in the settings,"
                    " or delete it"
                )
        self._remove((), _flat(bounds))

    def read_ends(self) -> Sequence[int]:
        """Give where the partitions end, if they have all that they must have.

        Raises:
            TopicChangedError: they have lost messages, and the topics are removed; or are others.
            KafkaException: Kafka is away, or a topic is gone.
        """
        settled = not self.unacknowledged and not self._refused
        bounds = _flat(self._ask_bounds())
        now = [one.end for one in bounds]
        sent = self._sent if settled else self._nothing_sent()
        least = [end + more for end, more in zip(self._ends, sent, strict=False)]
        if ends.have_shrunk(least, now) or any(one.begin > 0 for one in bounds):
            self._remove(least, bounds)
        if settled:
            self._ends, self._sent = now, self._nothing_sent()
        return now

    def check_topic(self) -> None:
        """Make sure, at first and every few seconds, that Kafka has what it had.

        Raises:
            TopicChangedError: it was wiped; or it has lost messages, and the topics are removed.
            KafkaException: it is away, or does not let us.
        """
        if time.monotonic() - self._checked_at < CHECK_TOPIC_S:
            return
        self._checked_at = time.monotonic()
        self._require_topics()
        self.read_ends()

    def _require_topics(self) -> None:
        found = topics.find_published(self._client, self._topic, self._stock_topic)
        if found != self.published:
            raise TopicChangedError(f"{self.published} is now {found}")

    def _remove(self, least: Sequence[int], now: Sequence[Bounds]) -> NoReturn:
        self._require_topics()  # ends of others are none of its business
        begins, at = [one.begin for one in now], [one.end for one in now]
        _log.error("topic_lost_messages", ended=list(least), begins=begins, ends=at)
        ends.remove(self._client, self.published)
        raise TopicChangedError(f"{self.published} has lost messages, and is made anew")

    def _nothing_sent(self) -> list[int]:
        return [0] * (self.published.orders.partitions + self.published.stock.partitions)

    @property
    def _topics(self) -> Sequence[Incarnation]:
        return self.published.orders, self.published.stock

    def _ask_bounds(self) -> Mapping[str, Sequence[Bounds]]:
        return {
            one.topic: ends.read_bounds(
                self._ends_reader, one.topic, one.partitions, timeout_s=topics.ADMIN_TIMEOUT_S
            )
            for one in self._topics
        }

    def close(self) -> None:
        """Drop what was not acknowledged: it is published again from the durable position."""
        self._producer.purge()
        self._producer.flush(1.0)
        self._ends_reader.close()

    def _produce(
        self, topic: str, partition: int, key: str | None, value: bytes, headers: Headers
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    topic, value, key, partition, on_delivery=self._report, headers=headers
                )
            except BufferError:
                self._producer.poll(ROOM_S)
            else:
                self._sent[self._places[topic] + partition] += 1
                return

    def _report(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._refused.append(error)


def _flat(bounds: Mapping[str, Sequence[Bounds]]) -> Sequence[Bounds]:
    return [one for of_topic in bounds.values() for one in of_topic]
