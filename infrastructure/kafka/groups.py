"""How many messages each consumer group has still to take, by what Kafka keeps of them."""

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from infrastructure.kafka import ends


def messages_left(
    client: AdminClient,
    asking: Consumer,
    topic: str,
    partitions: int,
    groups: Sequence[str],
    *,
    timeout_s: float,
) -> Mapping[str, int]:
    """Count the messages of a topic behind each group's committed offsets.

    A group that has committed nothing, or more than there is because the topic was wiped since,
    has all of a partition before it.

    Raises:
        KafkaException: Kafka is away, or there is no such topic.
    """
    places = [TopicPartition(topic, number) for number in range(partitions)]
    asked_groups = {
        group: client.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, places)], request_timeout=timeout_s
        )[group]
        for group in groups
    }
    last = ends.read_ends(asking, topic, partitions, timeout_s=timeout_s)
    return {
        group: sum(
            _left(one.offset, last[one.partition]) for one in asked.result().topic_partitions
        )
        for group, asked in asked_groups.items()
    }


def _left(committed: int, end: int) -> int:
    return end - committed if 0 <= committed <= end else end
