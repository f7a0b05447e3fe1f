"""Loads streams: their events folded, from what is known of them on.

Rule: the log is the truth. A state that is remembered, here or in the table of snapshots, counts
only where the log still has the event that it stands on, which is read each time; otherwise the
stream is folded from its beginning. Personal data stays sealed, as no decision needs it.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeAlias, TypeVar

import psycopg

from commands.ports import StoreUnavailableError, Stream, StreamUnreadableError
from domain.aggregate import Aggregate
from domain.ids import StreamId
from infrastructure.event_store import snapshots
from infrastructure.event_store.mapper import EventMapper, LogEntry, event_hash
from infrastructure.event_store.recorder import ENTRIES_OF_STREAM, log_entry
from infrastructure.event_store.snapshots import Snapshots
from infrastructure.gathered import Gathered
from infrastructure.postgres.packed_arrays import pack

S = TypeVar("S")

REMEMBERED = 4_096
"""Streams; of these the ones that were loaded last. A state takes a few kilobytes ..."""
MOST_BYTES = 32 * 1024 * 1024
"""... and up to megabytes: so many bytes of snapshots and events may stand behind all states."""
LOADS_AT_ONCE = 64
"""Loads in one round trip; one may be of hundreds of streams."""

_Wanted: TypeAlias = Sequence[tuple[StreamId, str, int]]
"""Streams, the name of each one's aggregate, and the version that its events are wanted from."""
_Rows: TypeAlias = Sequence[Sequence[dict[str, Any]]]
"""What the log has of each."""


class Read(Protocol):
    """Asks the database. Raises StoreUnavailableError."""

    def __call__(
        self, query: str, values: Sequence[Any] | Mapping[str, Any], /
    ) -> Awaitable[Sequence[dict[str, Any]]]: ...


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of one stream.

    Attributes:
        last: the event that it stands on.
        unkept: events in the state that no snapshot has.
        size: bytes, of the last snapshot, the event that it stands on, and the events since.
    """

    stream: Stream[Any]
    last: LogEntry | None
    unkept: int
    size: int

    def is_all_of(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the log has the event that it stands on, and nothing after it."""
        if self.last is None or len(rows) != 1:
            return False
        row, last = rows[0], self.last
        found = row["originator_version"], row["topic"], row["state"]
        return found == (last.version, last.type, last.state)


class StreamLoader:
    """Loads streams for one process."""

    def __init__(self, read: Read, mapper: EventMapper, kept: Snapshots) -> None:
        self._read = read
        self._mapper = mapper
        self._kept = kept
        self._trips = Gathered(self._read_loads, most_keys=LOADS_AT_ONCE)
        self._known: OrderedDict[tuple[StreamId, str], _Known] = OrderedDict()
        self._size = 0

    async def load_all(
        self, wanted: Sequence[tuple[StreamId, Aggregate[Any, Any]]]
    ) -> Sequence[Stream[Any]]:
        """Load streams in one round trip, and keep a snapshot of those that were long.

        Whoever loads while a round trip is under way shares the next one.
        """
        known = [self._known.get((stream, aggregate.name)) for stream, aggregate in wanted]
        found = await self._trips.get(
            [
                (stream, aggregate.name, 0 if one is None else one.stream.version)
                for (stream, aggregate), one in zip(wanted, known, strict=True)
            ]
        )
        if isinstance(found, psycopg.DataError):
            raise found
        return [
            await self._load(stream, aggregate, rows, one)
            for (stream, aggregate), rows, one in zip(wanted, found, known, strict=True)
        ]

    async def _read_loads(self, loads: Sequence[_Wanted]) -> Sequence[_Rows | psycopg.DataError]:
        try:
            rows = iter(await self._read_streams([stream for load in loads for stream in load]))
        except psycopg.DataError as error:
            # What is no name, or no text, fails only who has asked for it.
            if len(loads) == 1:
                return [error]
            return [found for load in loads for found in await self._read_loads([load])]
        return [list(islice(rows, len(load))) for load in loads]

    async def _read_streams(self, wanted: _Wanted) -> _Rows:
        names = {
            "streams": pack("text", [stream for stream, _, _ in wanted]),
            "aggregates": pack("text", [aggregate for _, aggregate, _ in wanted]),
            "known": pack("bigint", [known for _, _, known in wanted]),
        }
        found: list[list[dict[str, Any]]] = [[] for _ in wanted]
        for row in await self._read(snapshots.LOAD, names):
            found[row["number"] - 1].append(row)
        return found

    async def _load(
        self,
        stream: StreamId,
        aggregate: Aggregate[S, Any],
        rows: Sequence[dict[str, Any]],
        known: _Known | None,
    ) -> Stream[S]:
        if known is not None and known.is_all_of(rows):
            if (stream, aggregate.name) in self._known:
                self._known.move_to_end((stream, aggregate.name))
            return known.stream
        entries = [log_entry(row) for row in rows]
        if not entries and known is None:
            return Stream.unwritten(stream)
        base = self._base(aggregate, rows, entries, known)
        if base is None:
            base = _Known(Stream.unwritten(stream), last=None, unkept=0, size=0)
            if not entries or entries[0].version > 1:
                entries = [log_entry(row) for row in await self._read(ENTRIES_OF_STREAM, [stream])]
        return await self._go_on(aggregate, base, entries)

    def _base(
        self,
        aggregate: Aggregate[Any, Any],
        rows: Sequence[Mapping[str, Any]],
        entries: Sequence[LogEntry],
        known: _Known | None,
    ) -> _Known | None:
        """Give the newest state that stands on one of the entries that were read."""
        if not entries:
            return None
        # Somebody else in this process may have got further while the database was asked.
        newest = self._known.get((entries[0].stream, aggregate.name))
        for one in (newest, known):
            if one is not None and _stands_on(one.stream, entries):
                return one
        return None if known else self._from_snapshot(aggregate, entries[0], rows[0])

    def _from_snapshot(
        self, aggregate: Aggregate[Any, Any], entry: LogEntry, row: Mapping[str, Any]
    ) -> _Known | None:
        state = self._kept.read(aggregate, entry, row["kept_mac"], row["kept"])
        if state is None:
            return None
        size = len(row["kept"]) + len(entry.state)
        return _Known(_at(entry, state), entry, unkept=0, size=size)

    async def _go_on(
        self, aggregate: Aggregate[S, Any], base: _Known, entries: Sequence[LogEntry]
    ) -> Stream[S]:
        loaded, last, unkept, size = base.stream, base.last, base.unkept, base.size
        new = [entry for entry in entries if entry.version > loaded.version]
        if new:
            state = loaded.state
            for entry in new:
                state = self._evolve(aggregate, state, entry)
            loaded, last, unkept = _at(new[-1], state), new[-1], unkept + len(new)
            size += sum(len(entry.state) for entry in new)
        kept = self._kept.write(aggregate, loaded) if unkept > snapshots.EVERY else None
        if kept is not None:
            unkept, size = 0, kept.size + len(entries[-1].state)
        if loaded.version:
            # First of all: of many who load a hot stream at once, one keeps a snapshot of it.
            self._remember(aggregate, _Known(loaded, last, unkept, size))
        if kept is not None:
            with suppress(StoreUnavailableError):  # only the next load would have been quicker
                await self._read(snapshots.KEEP, kept.parameters)
        return loaded

    def _evolve(self, aggregate: Aggregate[S, Any], state: S | None, entry: LogEntry) -> S:
        try:
            recorded = self._mapper.to_recorded(entry, open_sealed=False)
            return aggregate.evolve(state, recorded.event)
        except Exception as error:
            # Reading bytes and a pure function: it can only be the event.
            what = f"{entry.type} at position {entry.position}: {type(error).__name__}"
            raise StreamUnreadableError(what) from error

    def _remember(self, aggregate: Aggregate[Any, Any], known: _Known) -> None:
        name = (known.stream.stream, aggregate.name)
        before = self._known.pop(name, None)
        self._known[name] = known
        self._size += known.size - (0 if before is None else before.size)
        while len(self._known) > REMEMBERED or self._size > MOST_BYTES:
            _, forgotten = self._known.popitem(last=False)
            self._size -= forgotten.size


def _at(entry: LogEntry, state: Any) -> Stream[Any]:
    last_hash = event_hash(entry.stream, entry.version, entry.type, entry.state)
    return Stream(entry.stream, state, entry.version, entry.position, last_hash)


def _stands_on(known: Stream[Any], entries: Sequence[LogEntry]) -> bool:
    place = known.version - entries[0].version
    if not 0 <= place < len(entries):
        return False
    entry = entries[place]
    return known.last_hash == event_hash(entry.stream, entry.version, entry.type, entry.state)
