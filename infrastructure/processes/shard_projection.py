"""Takes one partition's messages into its shard of the read models, each exactly once.

A batch is folded over the documents as they were read, and written with the shard's progress
in one script, or not at all. An event that can't be applied parks its order, and only that.

All fed generations of the shard are written in that one script. Each has a progress of its own:
one that has joined lately is read on from further back, and the others pass over what they have.
"""

import time
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec
import structlog
from prometheus_client import Counter, Gauge, Histogram

from domain.envelope import Recorded
from domain.ids import OrderId
from domain.order.events import OrderEvent
from infrastructure.event_store.mapper import LogEntry
from infrastructure.event_store.order_reader import OrderReader, UnreadableEventError, take_in
from infrastructure.kafka.messages import Delivered
from infrastructure.kafka.topics import Incarnation
from infrastructure.redis import layout
from infrastructure.redis.layout import ParkedNote, StoredDocument
from infrastructure.redis.shard import Change, DocumentMovedError, Parking, ShardWriter, Step
from projections.order.document import GapError, OrderDocument

ATTEMPTS = 5
"""Times a batch is folded again because a document was changed meanwhile."""
CORRELATIONS_LOGGED = 20

Opened: TypeAlias = tuple[LogEntry, Recorded[OrderEvent] | UnreadableEventError]

_log = structlog.get_logger(__name__)
_applied = Counter("ordertrail_projector_events", "Events taken into documents")
_gaps = Counter("ordertrail_projector_gaps", "Orders folded from the store to close a gap")
_delay = Histogram(
    "ordertrail_projector_delay_seconds",
    "From recorded in the log to readable in Redis, for the newest event of a batch",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600),
)
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
        self._partition = partition

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
        return int(offset) if incarnation == str(self._topic) else 0

    def project(self, batch: Sequence[Delivered]) -> None:
        """Apply a batch once, whole. Raises ShardMovedError with nothing applied."""
        batch = [one for one in batch if one.next_offset > self.next_offset]
        if not batch:
            return
        offsets = {
            generation: max(offset, batch[-1].next_offset)
            for generation, offset in self._offsets.items()
        }
        after = {generation: f"{self._topic} {offset}" for generation, offset in offsets.items()}
        position = max(one.position for one in batch)
        entries = [one.entry for one in batch if one.entry is not None]
        opened = list(zip(entries, self._reader.open_each(entries), strict=True))
        for _ in range(ATTEMPTS):
            steps = [
                Step(one, self._changes(one, batch, opened), before, after[one])
                for one, before in self.progress.items()
            ]
            try:
                self.writer.apply(steps, position=position)
            except DocumentMovedError:
                continue
            self.progress, self._offsets = after, offsets
            self._tell(batch)
            return
        raise DocumentMovedError(f"partition {self._partition}: documents kept moving")

    def _changes(
        self, generation: int, batch: Sequence[Delivered], opened: Sequence[Opened]
    ) -> Sequence[Change | Parking]:
        """Fold what a generation lacks of a batch over its own documents."""
        skipped = sum(
            one.entry is not None and one.next_offset <= self._offsets[generation] for one in batch
        )
        opened = opened[skipped:]
        entries = [entry for entry, _ in opened]
        touched = list(dict.fromkeys(order_of(entry) for entry in entries))
        read: Mapping[OrderId, StoredDocument | None] = self.writer.read(generation, touched)
        before = {
            order_id: None if stored is None else layout.to_document(stored)
            for order_id, stored in read.items()
        }
        after: dict[OrderId, OrderDocument | UnreadableEventError | None] = dict(before)
        after |= self._reader.fold_many(self._missing(entries, before))
        for entry, recorded in opened:
            order_id = order_of(entry)
            try:
                after[order_id] = take_in(after[order_id], entry, recorded)
            except GapError:
                _gaps.inc()
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
        note = ParkedNote(result.entry.position, result.entry.type, result.reason)
        _log.error("order_parked", order_id=str(order_id), **msgspec.structs.asdict(note))
        return Parking(order_id, read, note)

    def _missing(
        self, entries: Sequence[LogEntry], before: Mapping[OrderId, OrderDocument | None]
    ) -> Sequence[OrderId]:
        """Name orders whose document is gone, rather than new.

        Built up again event by event, they would be seen as they once were; so they are folded
        from the store, whole.
        """
        old = {order_of(entry) for entry in entries if entry.position <= self._seen_to}
        return [order_id for order_id in old if before[order_id] is None]

    def _tell(self, batch: Sequence[Delivered]) -> None:
        last = batch[-1]
        _position.labels(str(self._partition)).set(last.position)
        events = [one for one in batch if one.entry is not None]
        if not events:
            return
        _applied.inc(len(events))
        newest = events[-1].entry
        if newest is not None:
            _delay.observe(max(0.0, time.time() - newest.recorded_at.timestamp()))
        _log.info(
            "applied",
            partition=self._partition,
            events=len(events),
            first=events[0].position,
            last=events[-1].position,
            correlation_ids=list(
                dict.fromkeys(one.correlation_id for one in events[:CORRELATIONS_LOGGED])
            ),
        )


def order_of(entry: LogEntry) -> OrderId:
    """Give whose event it is: every event of this topic belongs to an order."""
    if entry.order_id is None:
        raise AssertionError(f"{entry.stream} belongs to no order")
    return entry.order_id
