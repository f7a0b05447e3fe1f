"""One partition and its shard of the read models: what is news to it, and what that changes.

News are folded over the documents as they were read, and written with the shard's progress
in one script, or not at all: see `batches`. An event that can't be applied parks its order, and
only that. What is stored of a parked order lacks that event, and the next one may be of another
stream, where no gap shows it: so it is folded from the store, and parked until that succeeds.

All fed generations of the shard are written in that one script. Each has a progress of its own:
one that has joined lately is read on from further back, and the others pass over what they have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog
from prometheus_client import Counter, Gauge

from domain.ids import OrderId
from infrastructure.event_store.mapper import LogEntry
from infrastructure.event_store.order_reader import (
    Opened,
    OrderReader,
    UnreadableEventError,
    take_in,
)
from infrastructure.kafka.messages import Delivered
from infrastructure.kafka.topics import Incarnation
from infrastructure.redis import stored_document
from infrastructure.redis.shard import Change, Parking, ShardWriter, Step
from infrastructure.redis.stored_document import StoredDocument
from projections.order.document import GapError, OrderDocument

_log = structlog.get_logger(__name__)
_gaps = Counter("ordertrail_projector_gaps", "Orders folded from the store to close a gap")
_parked = Counter("ordertrail_projector_parked", "Times an order was parked for a bad event")
_position = Gauge(
    "ordertrail_projector_position", "Log position the shard is complete to", ["partition"]
)


class ShardProjection:
    """One partition and the shard of the read models that it feeds."""

    def __init__(
        self, writer: ShardWriter, reader: OrderReader, topic: Incarnation, partition: int
    ) -> None:
        self.writer = writer
        self.progress: Mapping[int, str] = {}
        self._offsets: Mapping[int, int] = {}
        self._seen_to = 0
        self._reader = reader
        self._topic = topic
        self.partition = partition

    @property
    def next_offset(self) -> int:
        """Where reading goes on: where the generation that is furthest behind needs it."""
        return min(self._offsets.values(), default=0)

    def resume(self, progress: Mapping[int, str]) -> int:
        """Take the stored progress of the fed generations; give the offset to read on from."""
        self.progress = progress
        # Up to here somebody may have seen what Redis no longer has: see _missing.
        self._seen_to = self._reader.head()
        self._offsets = {generation: self._offset(text) for generation, text in progress.items()}
        return self.next_offset

    def _offset(self, progress: str) -> int:
        incarnation, _, offset = progress.rpartition(" ")
        return int(offset) if incarnation == str(self._topic) and offset.isdecimal() else 0

    def take(self, batch: Sequence[Delivered]) -> "Taken | None":
        """Give what of a batch is news to any generation; None: nothing."""
        news = [one for one in batch if one.next_offset > self.next_offset]
        if not news:
            return None
        offsets = {
            generation: max(offset, news[-1].next_offset)
            for generation, offset in self._offsets.items()
        }
        return Taken(self, news, [one.entry for one in news if one.entry is not None], offsets)

    def lacked(self, generation: int, taken: "Taken") -> Sequence[LogEntry]:
        """Give the events that a generation doesn't have: it may be ahead of another one."""
        offset = self._offsets[generation]
        skipped = sum(one.entry is not None and one.next_offset <= offset for one in taken.news)
        return taken.entries[skipped:]

    def fold(
        self,
        taken: "Taken",
        opened: Sequence[Opened],
        read: Mapping[int, Mapping[OrderId, StoredDocument | None]],
    ) -> Sequence[Step]:
        """Fold what each generation lacks over the documents that were read of it."""
        return [
            Step(one, self._changes(one, taken, opened, read[one]), before, self._after(taken, one))
            for one, before in self.progress.items()
        ]

    def applied(self, taken: "Taken") -> None:
        """Note that it is written."""
        self.progress = {one: self._after(taken, one) for one in taken.offsets}
        self._offsets = taken.offsets
        _position.labels(str(self.partition)).set(taken.news[-1].position)

    def _after(self, taken: "Taken", generation: int) -> str:
        return f"{self._topic} {taken.offsets[generation]}"

    def _changes(
        self,
        generation: int,
        taken: "Taken",
        opened: Sequence[Opened],
        read: Mapping[OrderId, StoredDocument | None],
    ) -> Sequence[Change | Parking]:
        entries = self.lacked(generation, taken)
        before = {
            order_id: None
            if stored is None or stored.header.parked
            else stored_document.to_document(stored)
            for order_id, stored in read.items()
        }
        after: dict[OrderId, OrderDocument | UnreadableEventError | None] = dict(before)
        after |= self._reader.fold_many(self._missing(entries, before, read))
        for entry, recorded in zip(entries, opened[len(opened) - len(entries) :], strict=True):
            order_id = order_of(entry)
            known = after[order_id]
            try:
                after[order_id] = take_in(known, entry, recorded)
            except GapError:
                _gaps.inc()
                after |= self._reader.fold_many([order_id])
                continue
            if isinstance(after[order_id], UnreadableEventError) and after[order_id] is not known:
                # The store may be able to; if not, it gives the document before that event.
                after |= self._reader.fold_many([order_id])
        return [
            self._change(order_id, read[order_id], result)
            for order_id, result in after.items()
            if result is not None and result is not before[order_id]
        ]

    def _change(
        self,
        order_id: OrderId,
        read: StoredDocument | None,
        result: OrderDocument | UnreadableEventError,
    ) -> Change | Parking:
        if isinstance(result, OrderDocument):
            return Change(read, result)
        _parked.inc()
        parking = Parking.of(order_id, read, result)
        _log.error("order_parked", order_id=str(order_id), **msgspec.structs.asdict(parking.note))
        return parking

    def _missing(
        self,
        entries: Sequence[LogEntry],
        before: Mapping[OrderId, OrderDocument | None],
        read: Mapping[OrderId, StoredDocument | None],
    ) -> Sequence[OrderId]:
        """Name orders whose document is gone, rather than new, or lacks an event.

        Built up again event by event, they would be seen as they once were; so they are folded
        from the store, whole.
        """
        old = {order_of(entry) for entry in entries if entry.position <= self._seen_to}
        old |= {one for one, stored in read.items() if stored is not None and stored.header.parked}
        return [order_id for order_id in old if before[order_id] is None]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a shard takes of a batch.

    Attributes: entries: the events of `news`; offsets: where each generation is after it.
    """

    shard: ShardProjection
    news: Sequence[Delivered]
    entries: Sequence[LogEntry]
    offsets: Mapping[int, int]

    @property
    def position(self) -> int:
        return max(one.position for one in self.news)


def order_of(entry: LogEntry) -> OrderId:
    """Give whose event it is: every event of this topic belongs to an order."""
    if entry.order_id is None:
        raise AssertionError(f"{entry.stream} belongs to no order")
    return entry.order_id
