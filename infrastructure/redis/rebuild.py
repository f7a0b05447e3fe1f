"""Write every document anew from the event store, in place, while reads and writes go on.

A document that has gone past the fold meanwhile is left to the projector, which is newer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import redis

from domain.ids import OrderId
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.redis import layout
from infrastructure.redis.shard import LEAVE_PROGRESS, Change, DocumentMovedError, ShardWriter

ATTEMPTS = 5


@dataclass(slots=True)
class RebuildReport:
    """Orders by what was found: `missing` and `different` documents are now as they should be."""

    orders: int = 0
    missing: int = 0
    different: int = 0


def rebuild(
    reader: OrderReader,
    client: "redis.Redis",
    *,
    partitions: int,
    tell: Callable[[RebuildReport], None],
) -> RebuildReport:
    """Fold every order and write its document and lists. `tell` is called after each order.

    Raises:
        UnavailableError: the event store can't be reached; running it again is safe.
        redis.RedisError: Redis can't be reached; running it again is safe.
    """
    writers = [ShardWriter(client, partition) for partition in range(partitions)]
    report = RebuildReport()
    for order_id in reader.order_ids():
        _rebuild_order(reader, writers[layout.partition_of(order_id, partitions)], order_id, report)
        report.orders += 1
        tell(report)
    return report


def _rebuild_order(
    reader: OrderReader, writer: ShardWriter, order_id: OrderId, report: RebuildReport
) -> None:
    for _ in range(ATTEMPTS):
        stored = writer.read([order_id])[order_id]
        document = reader.fold(order_id)
        if document is None:
            raise AssertionError(f"{order_id} is in the log and has no events")
        if stored is not None and stored.position > document.position:
            return
        try:
            writer.apply([Change(stored, document)], before=LEAVE_PROGRESS, after="", position=0)
        except DocumentMovedError:
            continue
        if stored is None:
            report.missing += 1
        elif stored.body != layout.body_bytes(document):
            report.different += 1
        return
    raise DocumentMovedError(f"{order_id} kept changing")
