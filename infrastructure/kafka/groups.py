"""Consumer groups of services: how each is named, and how many messages it has still to take.

Rule: a group is of one incarnation of its topic. Kafka ties a group's offsets to the topic's name
alone: a topic that is made anew under a consumer would be read on from where the old one was read
to, and what stands before that be skipped for good. In a group of its own it is read from its
beginning, whatever is committed to the old one meanwhile.
"""

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from infrastructure.kafka import ends, topics
from infrastructure.kafka.topics import Incarnation


def group_name(service: str, topic: Incarnation) -> str:
    """Name a service's group of the topic as it is: `payment.0b4c…`, as Kafka's tools show it."""
    return f"{service}.{topic.topic_id}"


class Groups:
    """Asks Kafka what the groups of some services have taken. Blocking; one caller at a time.

    By consumers that consume nothing, one for each group: the admin client's calls that ask a
    coordinator may end the process, by an assertion, where the connection is lost meanwhile
    (https://github.com/confluentinc/librdkafka/pull/5397).
    """

    def __init__(
        self, bootstrap: str, topic: str, services: Sequence[str], *, timeout_s: float
    ) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._services = services
        self._timeout_s = timeout_s
        self._client = topics.admin(bootstrap)
        self._known: Incarnation | None = None
        self._asking: Mapping[str, Consumer] = {}

    def messages_left(self) -> Mapping[str, int]:
        """Count the messages of the topic behind each service's committed offsets.

        A group that has committed nothing, or more than there is because messages were lost, has
        all of a partition before it.

        Raises:
            KafkaException: Kafka is away, or there is no such topic.
        """
        now = topics.find_topic(self._client, self._topic, timeout_s=self._timeout_s)
        if now is None:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        if now != self._known:
            self._ask_of(now)
        places = [TopicPartition(self._topic, number) for number in range(now.partitions)]
        committed = {
            service: asking.committed(places, timeout=self._timeout_s)
            for service, asking in self._asking.items()
        }
        asking = self._asking[self._services[0]]
        last = ends.read_bounds(asking, self._topic, now.partitions, timeout_s=self._timeout_s)
        return {
            service: sum(_left(one, last[one.partition].end) for one in found)
            for service, found in committed.items()
        }

    def _ask_of(self, topic: Incarnation) -> None:
        for asking in self._asking.values():
            asking.close()
        self._asking = {
            service: ends.reader(self._bootstrap, group_name(service, topic))
            for service in self._services
        }
        self._known = topic


def _left(committed: TopicPartition, end: int) -> int:
    if committed.error is not None:
        raise KafkaException(committed.error)
    return end - committed.offset if 0 <= committed.offset <= end else end
