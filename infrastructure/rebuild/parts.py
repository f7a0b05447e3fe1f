"""What a process of the rebuild works with, and how long it waits for a Redis that is away."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import redis
from redis.exceptions import ClusterDownError, RedisClusterException

from infrastructure.event_store.order_reader import OrderReader
from infrastructure.rebuild.log import Connect

T = TypeVar("T")

REDIS_AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    ClusterDownError,
    RedisClusterException,
    OSError,
)
AWAY_AT_MOST_S = 60.0
PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Parts:
    """Attributes: connect: opens one more session with PostgreSQL."""

    reader: OrderReader
    client: "redis.Redis"
    connect: Connect
    partitions: int


def outlasting_redis(work: Callable[[], T]) -> T:
    """Do idempotent work again for as long as Redis is away, for a minute at most.

    Raises:
        redis.RedisError: it did not come back.
    """
    until = time.monotonic() + AWAY_AT_MOST_S
    while True:
        try:
            return work()
        except REDIS_AWAY:
            if time.monotonic() > until:
                raise
            time.sleep(PAUSE_S)
