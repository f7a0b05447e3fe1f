"""Build one range of orders into the next generation: read, fold, and write in bulk.

Rule: a chunk's documents, list entries and checkpoint are written by one script per shard, and
only where the shard was left. So a second builder writes nothing, and a Redis that was restarted
and lost its last second is noticed; the range goes on from what Redis has.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from domain.ids import OrderId
from infrastructure.event_store.mapper import LogEntry
from infrastructure.event_store.order_reader import UnreadableEventError
from infrastructure.rebuild.log import OrderLog, Range, opened
from infrastructure.rebuild.pace import Pace
from infrastructure.rebuild.parts import Parts, outlasting_redis
from infrastructure.redis import layout
from infrastructure.redis.layout import ParkedNote
from infrastructure.redis.shard import script
from projections.order.document import OrderDocument

CHUNK_ORDERS = 1_000
CHUNK_EVENTS = 8_000
ATTEMPTS = 20
DONE = "~"
"""The checkpoint of a range that is done: above every order id."""


class CheckpointMovedError(Exception):
    """A shard was left elsewhere than the builder thinks."""


def fill(parts: Parts, generation: int, of: Range, pace: Pace) -> int:
    """Build a range, from where it was left; give how many events were read.

    Raises:
        CheckpointMovedError: Redis kept losing what it had confirmed, or another one builds too.
    """
    for _ in range(ATTEMPTS):
        try:
            return outlasting_redis(lambda: _Filling(parts, generation, of, pace).run())
        except CheckpointMovedError:
            continue
    raise CheckpointMovedError(f"range {of.number} of generation {generation} kept moving")


def built_to(parts: Parts, generation: int, of: Range) -> dict[int, str]:
    """Give the last order that is done of a range, by shard; '' where it is not begun."""
    values: dict[int, Any] = {
        partition: parts.client.hget(layout.built_key(partition, generation), str(of.number))
        for partition in range(parts.partitions)
    }
    return {partition: bytes(value or b"").decode() for partition, value in values.items()}


class _Filling:
    def __init__(self, parts: Parts, generation: int, of: Range, pace: Pace) -> None:
        self._parts = parts
        self._generation = generation
        self._range = of
        self._pace = pace
        self._fill = parts.client.register_script(script("fill"))
        self._built = built_to(parts, generation, of)

    def run(self) -> int:
        events = 0
        after = min(self._built.values())
        if after == DONE:
            return 0
        with opened(self._parts.connect) as log:
            for chunk in _chunks(log, self._range, after):
                self._write(chunk)
                events += len(chunk)
                self._pace.took(len(chunk))
        for partition in self._built:
            self._write_shard(partition, DONE, [])
        return events

    def _write(self, chunk: list[LogEntry]) -> None:
        by_shard: dict[int, list[str | bytes]] = defaultdict(list)
        partitions = self._parts.partitions
        for order_id, folded in self._parts.reader.fold_entries(chunk).items():
            partition = layout.partition_of(order_id, partitions)
            if str(order_id) > self._built[partition]:
                by_shard[partition] += filling(order_id, folded)
        last = str(chunk[-1].order_id)
        for partition, orders in by_shard.items():
            if orders:
                self._write_shard(partition, last, orders)

    def _write_shard(self, partition: int, last: str, orders: list[str | bytes]) -> None:
        before = self._built[partition]
        if before == DONE:
            return
        moved: Any = self._fill(
            keys=[
                layout.built_key(partition, self._generation),
                layout.generation_prefix(partition, self._generation),
            ],
            args=[str(self._range.number), before, last, *orders],
        )
        if moved is not None:
            raise CheckpointMovedError(bytes(moved).decode())
        self._built[partition] = last


def filling(
    order_id: OrderId, folded: OrderDocument | UnreadableEventError | None
) -> Sequence[str | bytes]:
    """Write what a generation is to hold of an order; one that can't be folded is parked."""
    if not isinstance(folded, UnreadableEventError):
        return layout.encode_filling(order_id, folded, None)
    note = ParkedNote(folded.entry.position, folded.entry.type, folded.reason)
    return layout.encode_filling(order_id, folded.before, note)


def _chunks(log: OrderLog, of: Range, after: str) -> Iterator[list[LogEntry]]:
    """Gather whole orders."""
    chunk: list[LogEntry] = []
    orders = 0
    for order in log.orders(of, after=after):
        chunk += order
        orders += 1
        if orders >= CHUNK_ORDERS or len(chunk) >= CHUNK_EVENTS:
            yield chunk
            chunk, orders = [], 0
    if chunk:
        yield chunk
