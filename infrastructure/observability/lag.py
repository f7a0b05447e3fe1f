"""How far each hop is behind the log, told from what is durable and from nothing else.

Rule: a stuck hop looks stuck. No worker says how far it has come: the log's head, the relay's
position and the views' positions are looked up where they are stored, and an age is taken by
the database's clock. So lag keeps growing while a worker hangs or is dead. While Redis or Kafka
is away, the last that was known of it goes on counting: it can't have come further meanwhile.

What Redis does not show yet counts for the second hop wherever it waits: with the relay stuck,
both hops grow, and it is the first that is to be mended.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import redis
from confluent_kafka import KafkaException
from psycopg.rows import DictRow, dict_row
from redis.exceptions import RedisClusterException, RedisError

from infrastructure.redis import shard_keys

LOG_TO_KAFKA, KAFKA_TO_REDIS = "log→kafka", "kafka→redis"
HOPS = (LOG_TO_KAFKA, KAFKA_TO_REDIS)
ASK_KAFKA_EVERY_S = 5.0
NO_TOPIC = ""
POSTGRES_TIMEOUT_S = 2
"""To connect; psycopg takes no less."""
STATEMENT_TIMEOUT = "SET statement_timeout = '1s'"
CLOCK_STEP_S = 5.0
"""So far ahead of the clock an event may be: clocks are set back a little, now and then."""

# One statement, so one snapshot: a position above its head is not a position of this log.
LAG = """
WITH log AS (SELECT coalesce(max(notification_id), 0) AS head FROM events),
     hops (hop, position) AS (
         SELECT 1, coalesce(max(position), 0) FROM relay_positions
          WHERE %(topic)s::text IS NULL OR topic_incarnation = %(topic)s
         UNION ALL SELECT 2, %(shown)s::bigint)
SELECT hop, head - position AS events, extract(epoch FROM clock_timestamp() - (
           SELECT recorded_at FROM events WHERE notification_id > position
            ORDER BY notification_id LIMIT 1))::float8 AS age_s
  FROM hops, log
"""


@dataclass(frozen=True, slots=True)
class HopLag:
    """One hop's lag.

    Attributes: events: not processed yet; seconds: age of the oldest of these, 0.0 if there is
    none; both None where nothing can be said. problem: why it is not known just now; if events
    are given all the same, it is these at most: a part may have come further before it went. With
    events and no seconds, it is the age that is not known.
    """

    hop: str
    events: int | None
    seconds: float | None
    problem: str | None


def unknown(problem: str) -> Sequence[HopLag]:
    return [HopLag(hop, None, None, problem) for hop in HOPS]


class LagMeter:
    """Asks, and keeps the last answers of Kafka and Redis. Blocking; for one thread at a time."""

    def __init__(
        self,
        postgres_url: str,
        redis_client: Callable[[], "redis.Redis"],
        find_topic: Callable[[], str],
        *,
        partitions: int,
    ) -> None:
        """Take what to ask. `redis_client` and `find_topic` are called when they are needed.

        `find_topic` gives the topic's incarnation, NO_TOPIC if there is none; with Kafka away it
        raises KafkaException. Until Kafka was asked once, the greatest position stands in.
        """
        self._postgres_url = postgres_url
        self._make_client = redis_client
        self._client: redis.Redis | None = None
        self._find_topic = find_topic
        self._ask_kafka_at = 0.0
        self._partitions = partitions
        self._topic: str | None = None
        self._shown: int | None = None

    def measure(self) -> Sequence[HopLag]:
        """Give the lag of each hop, in the order of `HOPS`. Takes seconds if a part hangs."""
        self._ask_kafka()
        redis_problem = self._ask_redis()  # before the log is: it can't be ahead of it then
        try:
            found = self._ask_log()
        except psycopg.Error as error:
            return unknown(f"postgres: {type(error).__name__}")
        return [
            _hop_lag(LOG_TO_KAFKA, found[1], None),
            _hop_lag(KAFKA_TO_REDIS, found[2], redis_problem),
        ]

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _ask_kafka(self) -> None:
        if time.monotonic() < self._ask_kafka_at:
            return
        with suppress(KafkaException):  # away: as far as anybody can tell, it is still that topic
            self._topic = self._find_topic()
        if self._topic != NO_TOPIC:
            self._ask_kafka_at = time.monotonic() + ASK_KAFKA_EVERY_S

    def _ask_redis(self) -> str | None:
        """Look up the position that every shard has reached; give why, if Redis does not say."""
        try:
            if self._client is None:
                self._client = self._make_client()
            pointer: Any = self._client.mget([shard_keys.LIVE_GENERATION])
            live = shard_keys.decode_pointer(pointer[0])
            with self._client.pipeline(transaction=False) as pipeline:
                for partition in range(self._partitions):
                    pipeline.get(shard_keys.position_key(partition, live))
                self._shown = min(map(shard_keys.decode_position, pipeline.execute()))
        except (RedisError, RedisClusterException, OSError) as error:
            return f"redis: {type(error).__name__}"
        return None

    def _ask_log(self) -> Mapping[int, DictRow]:
        with psycopg.connect(
            self._postgres_url,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=POSTGRES_TIMEOUT_S,
        ) as connection:
            connection.execute(STATEMENT_TIMEOUT)
            rows = connection.execute(LAG, {"topic": self._topic, "shown": self._shown})
            return {row["hop"]: row for row in rows}


def _hop_lag(hop: str, row: DictRow, problem: str | None) -> HopLag:
    events = row["events"]
    if events is None:
        return HopLag(hop, None, None, problem)
    if events < 0:
        return HopLag(hop, None, None, "it is ahead of the log: it belongs to another one")
    age_s = row["age_s"] or 0.0
    if age_s < -CLOCK_STEP_S:
        # No age can be told until the clock has come there, and 0 would hide a hop that is stuck.
        ahead = f"the oldest event is {-age_s:,.0f} s ahead of the database's clock"
        return HopLag(hop, events, None, problem or ahead)
    return HopLag(hop, events, max(0.0, age_s), problem)
