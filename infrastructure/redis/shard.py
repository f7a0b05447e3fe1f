"""The writing side of one shard: read documents, apply a batch atomically, know its progress.

Rule: all fed generations of a shard change in one script, or none does. So they move in
lockstep, and whoever reads one of them has read as much as he would have in another.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from uuid import UUID

import redis
import structlog

from domain.ids import OrderId
from infrastructure.event_store.order_reader import UnreadableEventError
from infrastructure.redis import script_arguments, shard_keys, stored_document
from infrastructure.redis.script_arguments import Argument
from infrastructure.redis.stored_document import ParkedNote, StoredDocument
from projections.order.document import OrderDocument, forget

LEAVE_PROGRESS = "*"
NOT_FED = "*"

_log = structlog.get_logger(__name__)


def script(name: str) -> str:
    """Read one of the scripts, whose heads say what they take and give."""
    return (files("infrastructure.redis") / "lua" / f"{name}.lua").read_text("utf-8")


class ShardMovedError(Exception):
    """The shard isn't as it was read: ask it for its progress again."""


class FedChangedError(ShardMovedError):
    """Other generations are fed now."""


class ProgressMovedError(ShardMovedError):
    """Another projector was here, or Redis lost data."""


class DocumentMovedError(Exception):
    """A document was changed since it was read: read it again."""


@dataclass(frozen=True, slots=True)
class Change:
    """A document to write over the one that was read; the order is parked no more.

    `relist`: write its list entries also where they should stand already. `asked_anew`: its
    customer's key was looked up since that one was read, not found in a cache.
    """

    read: StoredDocument | None
    document: OrderDocument
    relist: bool = False
    asked_anew: bool = False

    def arguments(self, generation: int) -> Sequence[Argument]:
        return script_arguments.encode_change(
            generation,
            self.read,
            self.document,
            relist=self.relist,
            asked_anew=self.asked_anew,
        )


@dataclass(frozen=True, slots=True)
class Parking:
    """An order whose document can't be brought up to date, and why.

    `before`: its document before the event that can't be applied, so that every generation holds
    the same of it; where there is none, what was read stays. `relist`: as for a change.
    """

    order_id: OrderId
    read: StoredDocument | None
    note: ParkedNote
    before: OrderDocument | None = None
    relist: bool = False

    @classmethod
    def of(
        cls,
        order_id: OrderId,
        read: StoredDocument | None,
        error: UnreadableEventError,
        *,
        relist: bool = False,
    ) -> "Parking":
        return cls(order_id, read, note_on(error), last_good(read, error), relist)

    def arguments(self, generation: int) -> Sequence[Argument]:
        if self.before is None:
            return script_arguments.encode_parking(generation, self.order_id, self.read, self.note)
        return script_arguments.encode_change(
            generation, self.read, self.before, note=self.note, relist=self.relist
        )


def last_good(read: StoredDocument | None, error: UnreadableEventError) -> OrderDocument | None:
    """Give the document of a parked order, None where what was read is to stay.

    What was read may be of a customer who was forgotten, where no event could say so: then this
    one is too, for whoever has folded it may have the key in a cache still.
    """
    before = error.before
    if before is None or read is None or not stored_document.is_emptied(read):
        return before
    return forget(before)


def note_on(error: UnreadableEventError) -> ParkedNote:
    """Say why an order is parked."""
    return ParkedNote(error.entry.position, error.entry.type, error.reason)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one generation.

    Attributes:
        changes: documents with what was read in their place.
        before: the progress that was read, or LEAVE_PROGRESS.
        after: the new progress.
    """

    generation: int
    changes: Sequence[Change | Parking]
    before: str = LEAVE_PROGRESS
    after: str = ""


class ShardWriter:
    """Writes one partition's shard."""

    def __init__(self, client: "redis.Redis", partition: int) -> None:
        self._client = client
        self._partition = partition
        self._apply = client.register_script(script("apply"))
        self._feed = client.register_script(script("feed"))
        self._remove = client.register_script(script("remove"))

    def fed(self) -> tuple[int, ...]:
        """Which generations are fed."""
        return shard_keys.decode_fed(self._value(shard_keys.fed_key(self._partition)))

    def progress(self) -> Mapping[int, str]:
        """Where each fed generation is to be read on; '' for a new one."""
        return self.progress_of(self.fed())

    def progress_of(self, fed: Sequence[int]) -> Mapping[int, str]:
        keys = [shard_keys.progress_key(self._partition, generation) for generation in fed]
        values: Any = self._client.mget(keys)
        return {
            generation: shard_keys.decode_progress(None if value is None else bytes(value))
            for generation, value in zip(fed, values, strict=True)
        }

    def position(self, generation: int) -> int:
        """Give the log position that a generation is complete to."""
        return shard_keys.decode_position(
            self._value(shard_keys.position_key(self._partition, generation))
        )

    def join(self, generation: int) -> None:
        """Let a generation be fed from now on, from its own progress; nothing changes if it is."""
        self._feed(script_arguments.apply_keys(self._partition), ["join", generation])

    def leave(self, generation: int) -> None:
        """Let a generation be fed no longer; it can come back only from the beginning."""
        self._feed(script_arguments.apply_keys(self._partition), ["leave", generation])

    def read(
        self, generation: int, order_ids: Sequence[OrderId]
    ) -> Mapping[OrderId, StoredDocument | None]:
        """Read documents in one round trip."""
        if not order_ids:
            return {}
        values: Any = self._client.mget(self.keys(generation, order_ids))
        return self.documents(order_ids, iter(values))

    def _value(self, key: str) -> bytes | None:
        """Get a value; of a key of another type there is none, which GET would not say."""
        values: Any = self._client.mget([key])
        return None if values[0] is None else bytes(values[0])

    def keys(self, generation: int, order_ids: Sequence[OrderId]) -> Sequence[str]:
        """Give the keys of documents of this shard."""
        prefix = shard_keys.generation_prefix(self._partition, generation)
        return [f"{prefix}document:{order_id}" for order_id in order_ids]

    def documents(
        self, order_ids: Sequence[OrderId], values: Iterator[bytes | None]
    ) -> Mapping[OrderId, StoredDocument | None]:
        """Take the next values for the documents of these orders."""
        read: dict[OrderId, StoredDocument | None] = {}
        for order_id in order_ids:
            value = next(values)
            read[order_id] = None if value is None else stored_document.decode(value)
        return read

    def is_listed(self, generation: int, header: stored_document.Header) -> bool:
        """Whether an order stands in each of its lists, in its place; not where one is no list."""
        keys = [shard_keys.list_key(self._partition, generation, name) for name in header.lists]
        try:
            return all(self._client.zscore(key, header.sort_key) == 0 for key in keys)
        except redis.ResponseError:
            return False

    def parked(self, generation: int) -> Mapping[OrderId, ParkedNote]:
        """Read the notes on all parked orders of the shard; what is no order's id is none's."""
        notes: Any = self._client.hgetall(shard_keys.parked_key(self._partition, generation))
        found: dict[OrderId, ParkedNote] = {}
        for name, note in notes.items():
            with suppress(ValueError):
                found[OrderId(UUID(bytes(name).decode()))] = stored_document.decode_note(note)
        return found

    def discard_note(self, order_id: OrderId) -> bool:
        """Take a note away; its document stays marked as out of date. False if there was none."""
        removed: list[Any] = [
            self._client.hdel(shard_keys.parked_key(self._partition, generation), str(order_id))
            for generation in self.fed()
        ]
        return any(removed)

    def remove(self, generation: int, order_id: OrderId, read: StoredDocument) -> None:
        """Delete a document that no event stands behind, with its note and its list entries.

        Raises:
            DocumentMovedError: it is another one by now; nothing was deleted.
        """
        prefix = shard_keys.generation_prefix(self._partition, generation)
        if not self._remove(keys=[prefix], args=script_arguments.encode_removal(order_id, read)):
            raise DocumentMovedError(str(order_id))

    def apply(self, steps: Sequence[Step], *, position: int = 0) -> None:
        """Write documents, lists, progress and position together, or nothing.

        Args:
            steps: one for each fed generation, in the order of `progress()`.
            position: the log position that generations with a progress are then complete to.

        Raises:
            FedChangedError, ProgressMovedError, DocumentMovedError: nothing was written.
        """
        self._run(_fed(steps), steps, position)

    def apply_command(self, steps: Sequence[Step], *, position: int) -> Sequence[Any]:
        """Give the command that does what `apply` does; its answer is for `require_applied`."""
        keys = script_arguments.apply_keys(self._partition)
        arguments = _arguments(_fed(steps), steps, position)
        return ["EVALSHA", self._apply.sha, len(keys), *keys, *arguments]

    def apply_unfed(self, step: Step, *, position: int = 0) -> None:
        """Write to a generation that nobody reads or feeds yet.

        Raises:
            ProgressMovedError, DocumentMovedError: nothing was written.
        """
        self._run(NOT_FED, [step], position)

    def _run(self, fed: str, steps: Sequence[Step], position: int) -> None:
        arguments = _arguments(fed, steps, position)
        self.require_applied(
            self._apply(keys=script_arguments.apply_keys(self._partition), args=arguments)
        )

    def require_applied(self, outcome: Any) -> None:
        """Read what the script says. Raises what `apply` does."""
        kind = outcome[0]
        if kind == b"applied":
            if len(outcome) > 1:
                _log.error("keys_made_anew", keys=outcome[1:], mended_by="a rebuild")
            return
        found = bytes(outcome[1]).decode("utf-8", "replace")
        if kind == b"fed":
            raise FedChangedError(f"fed are {found}")
        if kind == b"progress":
            raise ProgressMovedError(f"the shard's progress is {found!r}")
        raise DocumentMovedError(found)


def _fed(steps: Sequence[Step]) -> str:
    return shard_keys.encode_fed(step.generation for step in steps)


def _arguments(fed: str, steps: Sequence[Step], position: int) -> list[Argument]:
    arguments: list[Argument] = [fed, str(position), str(len(steps))]
    for step in steps:
        arguments += (str(step.generation), step.before, step.after)
    arguments.append(str(sum(len(step.changes) for step in steps)))
    for step in steps:
        for change in step.changes:
            arguments += change.arguments(step.generation)
    return arguments
