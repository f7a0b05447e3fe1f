"""What Kafka has of the topics that the log is published to, and what is done where it has less.

Rule: a topic that has lost messages, as after a power cut of a broker that had them in memory
only, or because somebody let it keep them for some days, keeps its id, and consumers would take
what is published next for what they know. So it is removed: what is made in its place is another
one, to be published from the beginning.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from infrastructure.kafka import topics
from infrastructure.kafka.topics import ADMIN_TIMEOUT_S, Published

LEAST_S = 0.05
"""For a partition, where those before it took all of the time."""


def reader(bootstrap: str, group: str = "ordertrail-ends") -> Consumer:
    """Make what asks for ends, and for what a group has committed; it consumes nothing.

    Not the admin client's `list_offsets`: librdkafka 2.16 once ended the process in it, by an
    assertion (`rd_kafka_admin_response_parse`).
    """
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": topics.ISOLATION,
            "log_level": 2,
        }
    )


@dataclass(frozen=True, slots=True)
class Bounds:
    """Attributes: begin: the offset of a partition's first message; end: behind its last one."""

    begin: int
    end: int


def read_bounds(
    asking: Consumer, topic: str, partitions: int, *, timeout_s: float
) -> Sequence[Bounds]:
    """Give the bounds of each partition.

    Takes `timeout_s` for all of them, or a little more. Raises KafkaException where Kafka is away
    or hangs, or where there is no such topic.
    """
    until = time.monotonic() + timeout_s
    found: list[Bounds] = []
    for number in range(partitions):
        left_s = max(until - time.monotonic(), LEAST_S)
        offsets = asking.get_watermark_offsets(
            TopicPartition(topic, number), timeout=left_s, cached=False
        )
        if offsets is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
        found.append(Bounds(*offsets))
    return found


def have_shrunk(before: Sequence[int], now: Sequence[int]) -> bool:
    """Whether a partition ends before it once did."""
    return any(end < was for was, end in zip(before, now, strict=False))


def remove(client: AdminClient, published: Published) -> None:
    """Delete the topics, that of orders first. Raises KafkaException where that is not allowed."""
    for name in (published.orders.topic, published.stock.topic):
        try:
            client.delete_topics([name], request_timeout=ADMIN_TIMEOUT_S)[name].result()
        except KafkaException as error:
            if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                raise
