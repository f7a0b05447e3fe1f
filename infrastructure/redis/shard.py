"""The writing side of one shard: read documents, apply a batch atomically, know its progress."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from uuid import UUID

import redis

from domain.ids import OrderId
from infrastructure.redis import layout
from infrastructure.redis.layout import ParkedNote, StoredDocument
from projections.order.document import OrderDocument

APPLY = (files("infrastructure.redis") / "lua" / "apply.lua").read_text("utf-8")
LEAVE_PROGRESS = "*"


class ProgressMovedError(Exception):
    """Another projector was here, or Redis lost data. `stored`: where to go on from."""

    def __init__(self, stored: str) -> None:
        super().__init__(f"the shard's progress is {stored!r}")
        self.stored = stored


class DocumentMovedError(Exception):
    """A document was changed since it was read: read it again."""


@dataclass(frozen=True, slots=True)
class Change:
    """A document to write over the one that was read; the order is parked no more."""

    read: StoredDocument | None
    document: OrderDocument

    def arguments(self) -> Sequence[str | bytes]:
        return layout.encode_change(self.read, self.document)


@dataclass(frozen=True, slots=True)
class Parking:
    """An order whose document can't be brought up to date, and why."""

    order_id: OrderId
    read: StoredDocument | None
    note: ParkedNote

    def arguments(self) -> Sequence[str | bytes]:
        return layout.encode_parking(self.order_id, self.read, self.note)


class ShardWriter:
    """Writes one partition's shard."""

    def __init__(self, client: "redis.Redis", partition: int) -> None:
        self._client = client
        self._partition = partition
        self._apply = client.register_script(APPLY)

    def progress(self) -> str:
        """Where the shard's partition is to be read on; '' for a new shard."""
        stored: Any = self._client.get(layout.progress_key(self._partition))
        return "" if stored is None else bytes(stored).decode()

    def read(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, StoredDocument | None]:
        """Read documents in one round trip."""
        if not order_ids:
            return {}
        prefix = layout.prefix(self._partition)
        values: Any = self._client.mget([f"{prefix}document:{order_id}" for order_id in order_ids])
        return {
            order_id: None if value is None else layout.decode(value)
            for order_id, value in zip(order_ids, values, strict=True)
        }

    def parked(self) -> Mapping[OrderId, ParkedNote]:
        """Read the notes on all parked orders of the shard."""
        notes: Any = self._client.hgetall(layout.parked_key(self._partition))
        return {
            OrderId(UUID(bytes(order_id).decode())): layout.decode_note(note)
            for order_id, note in notes.items()
        }

    def discard_note(self, order_id: OrderId) -> bool:
        """Take a note away; its document stays marked as out of date. False if there was none."""
        removed: Any = self._client.hdel(layout.parked_key(self._partition), str(order_id))
        return bool(removed)

    def apply(
        self, changes: Iterable[Change | Parking], *, before: str, after: str, position: int
    ) -> None:
        """Write documents, lists, progress and position together, or nothing.

        Args:
            changes: documents with what was read in their place.
            before: the progress that was read, or LEAVE_PROGRESS.
            after: the new progress.
            position: the log position that the shard is then complete to.

        Raises:
            ProgressMovedError, DocumentMovedError: nothing was written.
        """
        written = list(changes)
        arguments: list[str | bytes] = [before, after, str(position), str(len(written))]
        for change in written:
            arguments += change.arguments()
        outcome: Any = self._apply(keys=layout.apply_keys(self._partition), args=arguments)
        if outcome[0] == b"progress":
            raise ProgressMovedError(bytes(outcome[1]).decode())
        if outcome[0] == b"moved":
            raise DocumentMovedError(bytes(outcome[1]).decode())
