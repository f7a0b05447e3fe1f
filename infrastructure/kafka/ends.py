"""How far Kafka has the topics that the log is published to, and what is done where it has less.

Rule: a topic that has lost messages, as after a power cut of a broker that had them in memory only,
keeps its id, and consumers would take what is published next for what they know. So it is removed:
what is made in its place is another one, to be published from the beginning.
"""

from collections.abc import Sequence

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from infrastructure.kafka.topics import ADMIN_TIMEOUT_S, Published


def read_ends(client: AdminClient, published: Published) -> Sequence[int]:
    """Give the offset behind each partition's last message, of one topic and then the other.

    Raises:
        KafkaException: Kafka is away, or a topic is gone.
    """
    places = [
        TopicPartition(one.topic, number)
        for one in (published.orders, published.stock)
        for number in range(one.partitions)
    ]
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the client has no types for it
    asked = client.list_offsets(dict.fromkeys(places, latest), request_timeout=ADMIN_TIMEOUT_S)
    found = {(place.topic, place.partition): one.result().offset for place, one in asked.items()}
    return [found[place.topic, place.partition] for place in places]


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
