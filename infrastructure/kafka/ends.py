"""How far Kafka has the topics that the log is published to, and what is done where it has less.

Rule: a topic that has lost messages, as after a power cut of a broker that had them in memory only,
keeps its id, and consumers would take what is published next for what they know. So it is removed:
what is made in its place is another one, to be published from the beginning.
"""

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from infrastructure.kafka.topics import ADMIN_TIMEOUT_S, Published


def reader(bootstrap: str) -> Consumer:
    """Make what asks for ends; it consumes nothing.

    Not the admin client's `list_offsets`: librdkafka 2.16 once ended the process in it, by an
    assertion (`rd_kafka_admin_response_parse`).
    """
    settings = {"bootstrap.servers": bootstrap, "group.id": "ordertrail-ends", "log_level": 2}
    return Consumer({**settings, "enable.auto.commit": False})


def read_ends(asking: Consumer, published: Published) -> Sequence[int]:
    """Give the offset behind each partition's last message, of one topic and then the other.

    Raises:
        KafkaException: Kafka is away, or a topic is gone.
        TimeoutError: it does not answer.
    """
    ends: list[int] = []
    for one in (published.orders, published.stock):
        for number in range(one.partitions):
            place = TopicPartition(one.topic, number)
            found = asking.get_watermark_offsets(place, timeout=ADMIN_TIMEOUT_S, cached=False)
            if found is None:
                raise TimeoutError(f"Kafka does not tell where {one.topic} ends")
            ends.append(found[1])
    return ends


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
