"""Orders in the log and in Redis, put there without Kafka: for rows that only read them."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from commands.ports import Ports
from domain.ids import CustomerId, OrderId
from infrastructure import composition
from infrastructure.event_store.sealing import read_master_key
from infrastructure.event_store.store import open_event_store
from infrastructure.redis import shard_keys, stored_document
from infrastructure.redis.shard import Change, ShardWriter, Step
from infrastructure.settings import StoreSettings
from projections.order.document import OrderDocument
from tests.bench.orders import appends
from tests.bench.stack import Platform

PARTITIONS = 6
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """An order that a read can find."""

    order_id: OrderId
    customer_id: CustomerId
    body: bytes

    @property
    def key(self) -> str:
        return shard_keys.document_key(self.order_id, PARTITIONS, shard_keys.FIRST_GENERATION)


def place_orders(platform: Platform, how_many: int) -> Sequence[OrderId]:
    """Append so many orders through the event store."""

    async def place() -> Sequence[OrderId]:
        async with open_event_store(
            platform.settings["ORDERTRAIL_POSTGRES_URL"],
            read_master_key(platform.master_key_file),
            pool_size=4,
            pool_timeout_s=5,
        ) as store:
            ports = Ports(store, composition.SystemClock(), composition.RandomNames())
            placed: list[OrderId] = []
            while len(placed) < how_many:
                batch = appends(ports, min(AT_ONCE, how_many - len(placed)))
                await asyncio.gather(*(store.append(one) for one in batch))
                placed += [one.answer.order_id for one in batch]
            return placed

    return asyncio.run(place())


def fold_orders(platform: Platform, order_ids: Sequence[OrderId]) -> Sequence[OrderDocument]:
    """Fold orders from the log."""
    reader = composition.order_reader(
        StoreSettings(
            postgres_url=platform.settings["ORDERTRAIL_POSTGRES_URL"],
            master_key_file=platform.master_key_file,
        ),
        pool_size=1,
    )
    folded: list[OrderDocument] = []
    for start in range(0, len(order_ids), AT_ONCE):
        folds = reader.fold_many(order_ids[start : start + AT_ONCE]).values()
        folded += [one for one in folds if isinstance(one, OrderDocument)]
    reader.close()
    return folded


def show_orders(platform: Platform, how_many: int) -> Sequence[Shown]:
    """Place orders, and write their documents as the projector would: all shards are complete."""
    documents = fold_orders(platform, place_orders(platform, how_many))
    by_shard: dict[int, list[OrderDocument]] = defaultdict(list)
    for document in documents:
        by_shard[shard_keys.partition_of(document.order_id, PARTITIONS)].append(document)
    head = max(document.position for document in documents)
    client = redis.from_url(platform.settings["ORDERTRAIL_REDIS_URL"])
    for partition in range(PARTITIONS):
        writer = ShardWriter(client, partition)
        changes = [Change(None, document) for document in by_shard[partition]]
        step = Step(shard_keys.FIRST_GENERATION, changes, before="", after="bench 0")
        writer.apply([step], position=head)
    client.close()
    return [Shown(d.order_id, d.customer_id, stored_document.body_bytes(d)) for d in documents]
