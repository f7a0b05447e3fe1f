"""Which incarnation of a topic this is: a wiped Kafka, or a topic made anew, is another one."""

import uuid
from dataclasses import dataclass

import structlog
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from infrastructure.event_store.mapper import LARGEST_STATE

ADMIN_TIMEOUT_S = 5.0
ALREADY_EXISTS = "TOPIC_ALREADY_EXISTS"
LARGEST_MESSAGE = 2 * LARGEST_STATE
"""Bytes, of an event with its headers: a topic that takes less would stop the relay for good."""
ISOLATION = "read_uncommitted"
"""Of every reader: to another, a partition ends where somebody's transaction was left open."""
_MOST = "max.message.bytes"
_FOR_GOOD = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
"""A topic has all that was ever published, or views and services would begin in the middle."""


_log = structlog.get_logger(__name__)


class ForeignTopicError(Exception):
    """A topic has lost its first messages, and it is not known that we ever published to it."""


class TopicChangedError(Exception):
    """The topic isn't the one that this process began with: start over."""


@dataclass(frozen=True, slots=True)
class Incarnation:
    """A topic as it is now: another cluster or topic id means that everything in it is gone."""

    cluster_id: str
    topic: str
    topic_id: str
    partitions: int

    def __str__(self) -> str:
        return f"{self.cluster_id}/{self.topic}/{self.topic_id}"


def admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})


def find_topic(
    client: AdminClient, topic: str, *, timeout_s: float = ADMIN_TIMEOUT_S
) -> Incarnation | None:
    """Look a topic up; None if there is none. Raises KafkaException when Kafka is away."""
    described = client.describe_topics(TopicCollection([topic]), request_timeout=timeout_s)[topic]
    cluster = client.describe_cluster(request_timeout=timeout_s).result()
    try:
        description = described.result()
    except KafkaException as error:
        if error.args[0].name() == "UNKNOWN_TOPIC_OR_PART":
            return None
        raise
    high, low = (
        description.topic_id.get_most_significant_bits(),
        description.topic_id.get_least_significant_bits(),
    )
    mask = (1 << 64) - 1
    return Incarnation(
        cluster_id=str(cluster.cluster_id),
        topic=topic,
        topic_id=str(uuid.UUID(int=(high & mask) << 64 | low & mask)),
        partitions=len(description.partitions),
    )


@dataclass(frozen=True, slots=True)
class Published:
    """The topics that the log is published to, as they are now."""

    orders: Incarnation
    stock: Incarnation

    def __str__(self) -> str:
        return f"{self.orders} {self.stock}"


def find_published(
    client: AdminClient, orders: str, stock: str, *, timeout_s: float = ADMIN_TIMEOUT_S
) -> Published | None:
    """Look both topics up; None where one is missing. Raises KafkaException."""
    found = [find_topic(client, name, timeout_s=timeout_s) for name in (orders, stock)]
    return Published(found[0], found[1]) if found[0] and found[1] else None


def make_topic(client: AdminClient, topic: str, *, partitions: int, replication: int) -> None:
    """Make a topic whose messages are kept for good; one that is there already is left alone."""
    new = NewTopic(
        topic,
        num_partitions=partitions,
        replication_factor=replication,
        config={
            **_FOR_GOOD,
            _MOST: str(LARGEST_MESSAGE),
            "min.insync.replicas": str(max(1, replication - 1)),
        },
    )
    try:
        client.create_topics([new], request_timeout=ADMIN_TIMEOUT_S)[topic].result()
    except KafkaException as error:
        if error.args[0].name() != ALREADY_EXISTS:
            raise


def make_fit(client: AdminClient, topic: str) -> None:
    """Have a topic that somebody else made take LARGEST_MESSAGE, and keep everything for good.

    Raises:
        KafkaException: Kafka is away, or we may not change it.
    """
    named = ConfigResource(ConfigResource.Type.TOPIC, topic)
    found = client.describe_configs([named], request_timeout=ADMIN_TIMEOUT_S)[named].result()
    wanted = {name: value for name, value in _FOR_GOOD.items() if found[name].value != value}
    if int(found[_MOST].value) < LARGEST_MESSAGE:
        wanted[_MOST] = str(LARGEST_MESSAGE)
    if not wanted:
        return
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in wanted.items()
    ]
    change = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    try:
        client.incremental_alter_configs([change], request_timeout=ADMIN_TIMEOUT_S)[change].result()
    except KafkaException as error:
        if _MOST in wanted:
            raise
        _log.warning("topic_keeps_not_everything", topic=topic, set=wanted, reason=str(error))


def require_partitions(found: Incarnation, partitions: int) -> None:
    """Refuse a topic of another width: orders would be looked for in the wrong shard."""
    if found.partitions != partitions:
        raise TopicChangedError(
            f"{found.topic} has {found.partitions} partitions and the settings say {partitions}:"
            " the count is fixed when the topic is made"
        )
