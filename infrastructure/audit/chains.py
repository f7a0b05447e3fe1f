"""The streams' hash chains, checked in log order.

Each event must hold the hash of the one before it in its stream, which must stand before it in
the log. So a changed, removed, inserted or moved event breaks the chain at the next one.

Rule: memory does not grow with the log. The last hashes of some streams are kept, in two
generations; any other predecessor is looked up in the log, many in one query. A range of the
log that begins in the middle of streams is the same case.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from infrastructure.audit.log import Event, entry_of, previous_hash
from infrastructure.audit.merkle import Entry
from infrastructure.audit.suspicions import Break, Sign

GENERATION = 100_000
"""Streams per generation: two of them take about 55 MB."""
NO_HASH = "0" * 64

Lookup: TypeAlias = Callable[[Iterable[tuple[str, int]]], Mapping[tuple[str, int], Event]]


class Link(NamedTuple):
    """The last known event of a stream; the hash is in hex."""

    version: int
    position: int
    hash: str


class ChainCheck:
    """Takes the log in order, and gives breaks."""

    def __init__(self, find: Lookup, *, generation: int = GENERATION) -> None:
        self._find = find
        self._generation = generation
        self._young: dict[str, Link] = {}
        self._old: dict[str, Link] = {}

    def prepare(self, events: Sequence[Event]) -> None:
        """Look up the predecessors that the events of a chunk need and that are not known."""
        wanted: dict[str, int] = {}
        for event in events:
            stream = event.stream
            if stream not in wanted and self._recall(stream) is None:
                wanted[stream] = event.version - 1
        missing = [one for one in wanted.items() if one[1] > 0]
        if missing:
            for found in self._find(missing).values():
                self._remember(found.stream, _link(found))

    def know(self, entry: Entry) -> None:
        """Take an event that was proven elsewhere: the next of its stream needs no look-up then."""
        self._remember(entry.stream, Link(entry.version, entry.position, entry.event_hash.hex()))

    def check(self, event: Event, event_hash: bytes) -> Break | None:
        """Check one event, the next of the log."""
        before = self._recall(event.stream)
        if before is not None and before.version != event.version - 1:
            before = self._look_up(event)
        self._remember(event.stream, Link(event.version, event.position, event_hash.hex()))
        held = previous_hash(event.state)
        if before is not None and before.hash == held and before.position < event.position:
            return None
        if before is None and event.version == 1 and held == NO_HASH:
            return None
        return _break(event, held, before)

    def _look_up(self, event: Event) -> Link | None:
        if event.version <= 1:
            return self._recall(event.stream)
        found = self._find([(event.stream, event.version - 1)])
        return next((_link(one) for one in found.values()), None)

    def _recall(self, stream: str) -> Link | None:
        return self._young.get(stream) or self._old.get(stream)

    def _remember(self, stream: str, link: Link) -> None:
        if len(self._young) >= self._generation:
            self._old, self._young = self._young, {}
        self._young[stream] = link


def _break(event: Event, held: str | None, before: Link | None) -> Break:
    sign = Sign.WRONG
    if held is None:
        what = "its state can't be read"
    elif event.version < 1:
        what = "there is no such version"
    elif event.version == 1 and before is not None:
        what = f"its stream was begun before, at position {before.position}"
    elif event.version == 1:
        what = "it is the first of its stream, and holds the hash of one before it"
    elif before is None:
        sign = Sign.MISSING
        what = f"version {event.version - 1} of its stream is not in the log"
    elif before.position > event.position:
        what = f"the version before it stands after it, at position {before.position}"
    else:
        sign = Sign.MISMATCH
        what = "it does not hold the hash of the version before it"
    return Break(
        sign,
        what,
        event.stream,
        event.version,
        event.position,
        before=(event.stream, event.version - 1),
        before_position=None if before is None else before.position,
    )


def _link(event: Event) -> Link:
    return Link(event.version, event.position, entry_of(event).event_hash.hex())
