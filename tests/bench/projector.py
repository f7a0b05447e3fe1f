"""The projector: a topic of orders taken into an empty Redis, beside a SET of the same documents.

What is measured is its path for news. In an empty Redis it would take orders that the log had
when it began for lost documents, and fold each from the log; so it is given a log that holds the
customers' keys and no events. What it does with the real log is a note.
"""

import secrets
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import psycopg
import redis

from domain.ids import OrderId
from infrastructure.redis import shard_keys, stored_document
from projections.order.document import OrderDocument
from tests.bench.report import Bar, Row
from tests.bench.rounds import Contender, Effort, interleave
from tests.bench.stack import Platform, Stack
from tests.bench.views import PARTITIONS, fold_orders, place_orders
from tests.bench.watch import watching

EVENTS_PER_S = 10_000
"""How many the topic holds per second of measuring; the figure is their number by the time."""
LEAST_EVENTS = 5_000
AT_ONCE = 500
SET = "bare pipelined SET"


def measure(stack: Stack, effort: Effort) -> Sequence[Row]:
    platform = stack.platform(kafka=True)
    events = max(LEAST_EVENTS, int(effort.seconds * EVENTS_PER_S))
    order_ids = place_orders(platform, events)
    with stack.service("relay", platform.settings):
        _await_published(platform, events)
    news = {
        **platform.settings,
        "ORDERTRAIL_POSTGRES_URL": _only_keys(stack, platform),
    }
    documents = fold_orders(platform, order_ids)
    done = _applied(platform, order_ids)
    figures = interleave(
        {
            "ours": _ours(stack, news, done, events),
            SET: _set(platform, documents),
        },
        effort,
    )
    again = _ours(stack, platform.settings, done, events)(effort.seconds)
    notes = {
        "events": float(events),
        "bytes of one document": sum(len(stored_document.encode(one)[0]) for one in documents)
        / events,
        "events/s when each order is folded from the log": again,
    }
    return [Row("projector", "events/s", figures, [Bar(SET, 0.5)], notes)]


def _ours(
    stack: Stack, settings: Mapping[str, str], done: Callable[[], int], events: int
) -> Contender:
    def run(_seconds: float) -> float:
        _empty(settings)
        own_group = {**settings, "ORDERTRAIL_PROJECTOR_GROUP": f"projector-{secrets.token_hex(4)}"}
        with watching(done, events) as watch, stack.service("projector", own_group):
            return watch.per_second()

    return run


def _set(platform: Platform, documents: Sequence[OrderDocument]) -> Contender:
    keys = [
        shard_keys.document_key(one.order_id, PARTITIONS, shard_keys.FIRST_GENERATION)
        for one in documents
    ]
    values = [stored_document.encode(one)[0] for one in documents]

    def run(_seconds: float) -> float:
        client = _empty(platform.settings)
        started = time.perf_counter()
        for start in range(0, len(keys), AT_ONCE):
            with client.pipeline(transaction=False) as pipeline:
                for number in range(start, min(start + AT_ONCE, len(keys))):
                    pipeline.set(keys[number], values[number])
                pipeline.execute()
        return len(keys) / (time.perf_counter() - started)

    return run


def _empty(settings: Mapping[str, str]) -> "redis.Redis":
    client = redis.from_url(settings["ORDERTRAIL_REDIS_URL"])
    client.flushall()
    return client


def _applied(platform: Platform, order_ids: Sequence[OrderId]) -> Callable[[], int]:
    """Make what counts the events in Redis, told from the position of each shard."""
    by_shard: dict[int, list[int]] = defaultdict(list)
    with psycopg.connect(platform.owner_url) as connection:
        rows = connection.execute("SELECT order_id, notification_id FROM events ORDER BY 2")
        for order_id, position in rows:
            by_shard[shard_keys.partition_of(order_id, PARTITIONS)].append(position)
    assert sum(map(len, by_shard.values())) == len(order_ids)
    client = redis.from_url(platform.settings["ORDERTRAIL_REDIS_URL"])
    keys = [
        shard_keys.position_key(partition, shard_keys.FIRST_GENERATION)
        for partition in range(PARTITIONS)
    ]

    def applied() -> int:
        reached = client.mget(keys)
        return sum(
            bisect_right(by_shard[partition], int(position or 0))
            for partition, position in enumerate(reached)
        )

    return applied


def _await_published(platform: Platform, events: int) -> None:
    with psycopg.connect(platform.owner_url, autocommit=True) as connection:
        while True:
            row = connection.execute("SELECT max(position) FROM relay_positions").fetchone()
            if row is not None and row[0] == events:
                return
            time.sleep(0.1)


def _only_keys(stack: Stack, platform: Platform) -> str:
    """Make a log with the customers' keys of this one, and give its URL for services."""
    with psycopg.connect(platform.owner_url) as connection:
        keys = connection.execute("SELECT customer_id, wrapped_key FROM customer_keys").fetchall()
    other = stack.platform()
    with psycopg.connect(other.owner_url) as connection:
        connection.cursor().executemany("INSERT INTO customer_keys VALUES (%s, %s)", keys)
    return other.settings["ORDERTRAIL_POSTGRES_URL"]
