"""How many messages each consumer group has still to take, by what Kafka keeps of them."""

from collections.abc import Mapping, Sequence

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec


def messages_left(
    client: AdminClient, topic: str, partitions: int, groups: Sequence[str], *, timeout_s: float
) -> Mapping[str, int]:
    """Count the messages of a topic behind each group's committed offsets.

    A group that has committed nothing, or more than there is because the topic was wiped since,
    has all of a partition before it. Raises KafkaException, also where there is no such topic.
    """
    places = [TopicPartition(topic, number) for number in range(partitions)]
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the client has no types for it
    asked_ends = client.list_offsets(dict.fromkeys(places, latest), request_timeout=timeout_s)
    asked_groups = {
        group: client.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, places)], request_timeout=timeout_s
        )[group]
        for group in groups
    }
    ends = {place.partition: asked.result().offset for place, asked in asked_ends.items()}
    return {
        group: sum(
            _left(one.offset, ends[one.partition]) for one in asked.result().topic_partitions
        )
        for group, asked in asked_groups.items()
    }


def _left(committed: int, end: int) -> int:
    return end - committed if 0 <= committed <= end else end
