"""How many messages each consumer group has still to take, by what Kafka keeps of them."""

from collections.abc import Mapping, Sequence

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from infrastructure.kafka import ends, offsets, topics


def messages_left(
    client: AdminClient,
    asking: Consumer,
    topic: str,
    groups: Sequence[str],
    *,
    timeout_s: float,
) -> Mapping[str, int]:
    """Count the messages of a topic behind each group's committed offsets.

    A group that has committed nothing of this incarnation of the topic, or more than there is
    because messages were lost, has all of a partition before it.

    Raises:
        KafkaException: Kafka is away, or there is no such topic.
    """
    now = topics.find_topic(client, topic, timeout_s=timeout_s)
    if now is None:
        raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    places = [TopicPartition(topic, number) for number in range(now.partitions)]
    asked_groups = {
        group: client.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, places)], request_timeout=timeout_s
        )[group]
        for group in groups
    }
    last = ends.read_ends(asking, topic, now.partitions, timeout_s=timeout_s)
    return {
        group: sum(
            _left(offsets.taken(now, one), last[one.partition])
            for one in asked.result().topic_partitions
        )
        for group, asked in asked_groups.items()
    }


def _left(taken: int, end: int) -> int:
    return end - taken if taken <= end else end
