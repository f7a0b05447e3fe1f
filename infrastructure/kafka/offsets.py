"""What a consumer group has taken, by the incarnation of the topic that it has read.

Rule: an offset is committed together with the incarnation that it was read from, and counts for no
other. Kafka's own tie between them is the topic's name: a topic that is made anew under a consumer
would be read on from where the old one was read to, and what stands before that be skipped for
good.
"""

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from infrastructure.kafka.topics import Incarnation

ANSWER_S = 5.0
"""How long to wait for what is committed; a coordinator that has just moved takes a moment."""
OVERTAKEN = ("ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS", "UNKNOWN_MEMBER_ID")
"""A rebalance came first: what this member keeps it commits later, the rest is handled again."""


def committed(topic: Incarnation, partition: int, offset: int) -> TopicPartition:
    """Make what is committed of a partition: the offset to read on from, and what it is of."""
    return TopicPartition(topic.topic, partition, offset, str(topic))


def taken(topic: Incarnation, found: TopicPartition) -> int:
    """Give the offset to read on from: the beginning, if what is committed is of another topic."""
    return found.offset if found.metadata == str(topic) and found.offset >= 0 else 0


class Offsets:
    """How far a consumer has handled its share of the topic, as it was when the consumer began.

    All that it commits names that incarnation, whatever the topic has become meanwhile: so the next
    one begins at the beginning of a topic of which this one read without knowing it.
    For the consumer's one thread, or while that is at rest.
    """

    def __init__(self, consumer: Consumer, topic: Incarnation) -> None:
        self._consumer = consumer
        self._topic = topic
        self._handled: dict[int, int | None] = {}

    def subscribe(self) -> None:
        self._consumer.subscribe(
            [self._topic.topic], on_assign=self._on_assign, on_revoke=self._on_revoke
        )

    def handled(self, batch: Sequence[Message]) -> None:
        """Note what is to be committed; what was revoked meanwhile is another member's."""
        for message in batch:
            partition, offset = message.partition(), message.offset()
            if partition in self._handled and offset is not None:
                self._handled[partition] = offset + 1

    def commit(self) -> None:
        """Commit what was handled.

        Raises:
            KafkaException: Kafka does not take it.
        """
        offsets = [
            committed(self._topic, partition, offset)
            for partition, offset in self._handled.items()
            if offset is not None
        ]
        if not offsets:
            return
        try:
            _require(self._consumer.commit(offsets=offsets, asynchronous=False) or ())
        except KafkaException as error:
            if error.args[0].name() not in OVERTAKEN:
                raise
        else:
            self._handled = dict.fromkeys(self._handled)

    def _on_assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Begin each partition where its incarnation was read to; raises KafkaException.

        What is raised here comes out of `poll`: nothing is handed over that was read elsewhere.
        """
        found = consumer.committed(list(partitions), timeout=ANSWER_S)
        _require(found)
        consumer.incremental_assign(
            [TopicPartition(one.topic, one.partition, taken(self._topic, one)) for one in found]
        )
        self._handled |= dict.fromkeys(one.partition for one in found)

    def _on_revoke(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        for one in partitions:
            self._handled.pop(one.partition, None)
        consumer.incremental_unassign(list(partitions))


def _require(answered: Sequence[TopicPartition]) -> None:
    for one in answered:
        if one.error is not None:
            raise KafkaException(one.error)
