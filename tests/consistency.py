"""Holds PostgreSQL, Kafka and Redis of a platform against each other, event by event.

Rule: whatever was done to the platform, in the end all three tell the same orders, and Redis
shows each as the fold of its events. Nothing here trusts a checkpoint or a progress of ours.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import psycopg
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from psycopg.rows import DictRow, dict_row

from commands.ports import NO_HASH
from domain.ids import OrderId
from infrastructure import composition
from infrastructure.event_store.mapper import LogEntry, event_hash
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.event_store.recorder import read_log
from infrastructure.kafka.messages import Delivered, read_message
from infrastructure.redis import shard_keys, stored_document
from infrastructure.redis.generations import Generations
from infrastructure.redis.stored_document import StoredDocument
from infrastructure.settings import StoreSettings, ViewSettings
from projections.order.document import OrderDocument

TOPIC = "order-events"
ANSWERS = (
    "SELECT answer, position FROM answers"
    " WHERE route IN ('POST /v1/orders', 'POST /v1/orders/{id}/cancellations')"
)
OF_NOBODY = "SELECT * FROM events WHERE order_id IS NULL AND originator_id NOT LIKE 'stock-%'"
PAGE = 5_000
WITHIN_S = 60.0
Settings = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Agreed:
    """What there is; of `assert_consistent`, what all three agree on."""

    orders: int
    events: int


def assert_consistent(settings: Settings, *, within_s: float = WITHIN_S) -> Agreed:
    """Wait until the views have caught up, once nobody writes any more, and compare everything."""
    log = stored_log(settings)
    _await_views(settings, log[-1].position if log else 0, within_s)
    _assert_log_intact(log)
    _assert_names_and_answers(settings, log)
    _assert_kafka_tells(log, kafka_messages(settings), partitions_of(settings))
    orders = {entry.order_id for entry in log if entry.order_id is not None}
    _assert_views_show(settings, orders)
    return Agreed(len(orders), len(log))


def stored_log(settings: Settings) -> Sequence[LogEntry]:
    """Read the whole log of PostgreSQL."""
    log: list[LogEntry] = []
    with _postgres(settings) as connection:
        while page := read_log(connection, after=log[-1].position if log else 0, limit=PAGE):
            log += page
    # It is read by position: an event that has none of its own would be missed by that.
    assert len(log) == count(settings).events
    return log


def count(settings: Settings) -> Agreed:
    """Count what PostgreSQL has."""
    with _postgres(settings) as connection:
        row = connection.execute(
            "SELECT count(DISTINCT order_id) AS orders, count(*) AS events FROM events"
        ).fetchone()
    assert row is not None
    return Agreed(row["orders"], row["events"])


def kafka_messages(settings: Settings) -> Mapping[int, Sequence[Delivered]]:
    """Read the topic from its beginning, by partition, with a consumer that nobody knows."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings["ORDERTRAIL_KAFKA_BOOTSTRAP"],
            "group.id": f"drill-{uuid4()}",
            "enable.auto.commit": False,
            "log_level": 2,
        }
    )
    with closing(consumer):
        found = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        ends = {
            number: consumer.get_watermark_offsets(TopicPartition(TOPIC, number), timeout=10)
            for number in found
        }
        assert all(low == 0 for low, _ in ends.values()), "Kafka has thrown messages away"
        consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in found])
        messages: dict[int, list[Delivered]] = {number: [] for number in found}
        left = sum(high for _, high in ends.values())
        until = time.monotonic() + WITHIN_S
        while left > 0:
            assert time.monotonic() < until, f"{left} messages of Kafka did not come"
            for message in consumer.consume(1_000, 1.0):
                assert message.error() is None, message.error()
                one = read_message(message)
                if one.next_offset <= ends[one.partition][1]:
                    messages[one.partition].append(one)
                    left -= 1
    return messages


@contextmanager
def order_reader(settings: Settings) -> Iterator[OrderReader]:
    store = StoreSettings(
        postgres_url=settings["ORDERTRAIL_POSTGRES_URL"],
        master_key_file=Path(settings["ORDERTRAIL_MASTER_KEY_FILE"]),
    )
    reader = composition.order_reader(store, pool_size=1)
    try:
        yield reader
    finally:
        reader.close()


@contextmanager
def redis_of(settings: Settings) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings["ORDERTRAIL_REDIS_URL"], protocol=3) as client:
        yield client


def partitions_of(settings: Settings) -> int:
    """Say how many shards the read models have."""
    return ViewSettings(redis_url=settings["ORDERTRAIL_REDIS_URL"]).order_partitions


@contextmanager
def _postgres(settings: Settings) -> Iterator[psycopg.Connection[DictRow]]:
    with psycopg.connect(
        settings["ORDERTRAIL_POSTGRES_URL"], row_factory=dict_row, connect_timeout=5
    ) as connection:
        yield connection


def _await_views(settings: Settings, position: int, within_s: float) -> None:
    """Wait until every shard is complete to the log's end, and to nothing beyond it."""
    until = time.monotonic() + within_s
    reached: Sequence[int] | str = ()
    while set(reached) != {position}:
        assert time.monotonic() < until, f"the log ends at {position}, Redis at {reached}"
        time.sleep(0.05)
        reached = _shard_positions(settings)


def _shard_positions(settings: Settings) -> Sequence[int] | str:
    shards = range(partitions_of(settings))
    try:
        with redis_of(settings) as client:
            fed = _fed(client, len(shards))
            keys = [shard_keys.position_key(number, one) for one in fed for number in shards]
            values: Any = client.mget(keys)
    except redis.RedisError as error:  # it may just be coming back
        return str(error)
    return [int(value or 0) for value in values]


def _assert_log_intact(log: Sequence[LogEntry]) -> None:
    """Positions and versions without gaps, times that never decrease, unbroken chains."""
    assert [entry.position for entry in log] == list(range(1, len(log) + 1))
    assert all(one.recorded_at <= other.recorded_at for one, other in pairwise(log))
    streams: dict[str, list[LogEntry]] = defaultdict(list)
    for entry in log:
        streams[entry.stream].append(entry)
    for stream, entries in streams.items():
        assert [one.version for one in entries] == list(range(1, len(entries) + 1)), stream
        before = NO_HASH
        for one in entries:
            assert orjson.loads(one.state)["previous_hash"] == before.hex(), one
            before = event_hash(stream, one.version, one.type, one.state)


def _assert_names_and_answers(settings: Settings, log: Sequence[LogEntry]) -> None:
    """Each order has one number, and each kept answer is of an event that is there."""
    orders = {entry.order_id for entry in log}
    by_position = {entry.position: entry for entry in log}
    with _postgres(settings) as connection:
        numbers = connection.execute(
            "SELECT order_id FROM unique_names WHERE scope = 'order_number'"
        ).fetchall()
        answers = connection.execute(ANSWERS).fetchall()
        foreign = connection.execute(OF_NOBODY).fetchall()
    assert sorted(row["order_id"] for row in numbers) == sorted(filter(None, orders))
    assert foreign == []
    for row in answers:
        answer, entry = orjson.loads(bytes(row["answer"])), by_position[row["position"]]
        assert (answer["order_id"], answer["version"]) == (str(entry.order_id), entry.version)


def _assert_kafka_tells(
    log: Sequence[LogEntry], messages: Mapping[int, Sequence[Delivered]], partitions: int
) -> None:
    """All of the log, byte for byte, in order for each partition; and no checkpoint too early."""
    assert len(messages) == partitions
    expected: dict[int, list[LogEntry]] = {number: [] for number in messages}
    for entry in log:
        if entry.order_id is None:
            continue  # stock belongs to no order, and goes another way
        expected[shard_keys.partition_of(entry.order_id, len(messages))].append(entry)
    for partition, delivered in messages.items():
        seen: list[LogEntry] = []
        for one in delivered:
            if one.entry is None:
                due = [entry for entry in expected[partition] if entry.position <= one.position]
                assert len(seen) >= len(due), f"partition {partition}: {one} came too early"
            # What was published again after a crash is an old acquaintance.
            elif not seen or one.position > seen[-1].position:
                seen.append(one.entry)
        assert seen == expected[partition], f"partition {partition} does not tell the log"
        distinct = {one.position for one in delivered if one.entry is not None}
        assert len(distinct) == len(seen), f"partition {partition} skipped an event at first"


def _assert_views_show(settings: Settings, orders: set[OrderId]) -> None:
    """Every document is the fold of its events, and in exactly its lists."""
    folds: dict[OrderId, object] = {}
    ordered = list(orders)
    with redis_of(settings) as client, order_reader(settings) as reader:
        for begin in range(0, len(ordered), PAGE):
            folds |= reader.fold_many(ordered[begin : begin + PAGE])
        partitions = partitions_of(settings)
        for generation in _fed(client, partitions):
            _assert_generation_shows(client, generation, partitions, folds)


def _fed(client: "redis.Redis", partitions: int) -> Sequence[int]:
    """Give every fed generation: all shards feed the same, among them the one that is read."""
    generations = Generations(client, partitions)
    fed = sorted(generations.fed())
    assert generations.live() in fed
    assert all(sorted(shard.fed()) == fed for shard in generations.shards)
    return fed


def _assert_generation_shows(
    client: "redis.Redis", generation: int, partitions: int, folds: Mapping[OrderId, object]
) -> None:
    documents = _documents(client, generation)
    assert set(documents) == {shard_keys.document_key(one, partitions, generation) for one in folds}
    listed: set[tuple[str, bytes]] = set()
    for order_id, folded in folds.items():
        stored = documents[shard_keys.document_key(order_id, partitions, generation)]
        assert isinstance(folded, OrderDocument), folded  # or one that can't be read
        assert stored.body == stored_document.body_bytes(folded)
        assert stored.header == stored_document.encode(folded)[1]
        assert stored.position == folded.position
        partition = shard_keys.partition_of(order_id, partitions)
        listed |= {
            (shard_keys.list_key(partition, generation, name), stored.header.sort_key.encode())
            for name in stored.header.lists
        }
    found = _list_entries(client, generation)
    assert found - listed == set(), "an order stands in a list that it does not belong to"
    assert listed - found == set(), "an order is missing in one of its lists"


def _documents(client: "redis.Redis", generation: int) -> Mapping[str, StoredDocument]:
    keys = list(client.scan_iter(f"*:g{generation}:document:*", count=1_000))
    values: Any = client.mget(keys) if keys else []
    return {
        key.decode(): stored_document.decode(value) for key, value in zip(keys, values, strict=True)
    }


def _list_entries(client: "redis.Redis", generation: int) -> set[tuple[str, bytes]]:
    found: set[tuple[str, bytes]] = set()
    for key in client.scan_iter(f"*:g{generation}:list:*", count=1_000):
        members: Any = client.zrange(key, 0, -1)
        found |= {(key.decode(), bytes(member)) for member in members}
    return found
