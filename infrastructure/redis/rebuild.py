"""Write every document anew from the event store, in place, while reads and writes go on.

A document that has gone past the fold meanwhile is left to the projector, which is newer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import redis

from domain.ids import OrderId
from infrastructure.event_store.order_reader import OrderReader, UnreadableEventError
from infrastructure.redis import layout
from infrastructure.redis.shard import LEAVE_PROGRESS, Change, DocumentMovedError, ShardWriter

ATTEMPTS = 5


@dataclass(slots=True)
class RebuildReport:
    """Orders by what was found: `missing` and `different` documents are now as they should be.

    `parked` orders have an event that can't be applied; their documents were left as they were.
    """

    orders: int = 0
    missing: int = 0
    different: int = 0
    parked: int = 0


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
        rebuild_order(reader, writers[layout.partition_of(order_id, partitions)], order_id, report)
        tell(report)
    return report


def rebuild_order(
    reader: OrderReader, writer: ShardWriter, order_id: OrderId, report: RebuildReport
) -> None:
    """Fold one order and write its document; count in the report what was found."""
    report.orders += 1
    for _ in range(ATTEMPTS):
        stored = writer.read([order_id])[order_id]
        try:
            document = reader.fold(order_id)
        except UnreadableEventError:
            report.parked += 1
            return
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
