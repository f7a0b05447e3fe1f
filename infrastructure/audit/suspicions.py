"""Signs that something is wrong which don't say by themselves what: breaks, gaps, times.

A chain that breaks between two events tells that one of them was changed, not which. Once the whole
pass is done it is known which of them is as it was sealed, and so which is not; and a sign of
something that was named by its seal already says nothing new.
"""

from collections.abc import Set as AbstractSet
from enum import Enum
from typing import NamedTuple

from infrastructure.audit.log import show_time
from infrastructure.audit.merkle import Entry
from infrastructure.audit.report import Fault, Id, Kind, Report

MOST = 1_000


class Sign(Enum):
    """What a break says by itself."""

    GAP = "no event has some positions"
    MISSING = "the event before it is not in the log"
    MISMATCH = "of it and the event before it, one is not what it was"
    WRONG = "it can't be so"


class Break(NamedTuple):
    """Something that does not fit between an event and the one before it, by stream or position.

    Attributes:
        stream, version, position: of the event; without the first two it is a gap's.
        before: which event should be before it; before_position: where it is, if it was found.
    """

    sign: Sign
    what: str
    stream: str | None
    version: int | None
    position: int
    before: Id
    before_position: int | None


class OrderCheck:
    """Positions without gaps, and times that never decrease."""

    def __init__(self, first: int, recorded_us: int | None) -> None:
        """Take the first position, and the time of the event before it, if there is one."""
        self._expected = first
        self._last: Entry | None = None
        self._recorded_us = recorded_us

    def check(self, entry: Entry) -> Break | None:
        """Check one event, the next of the log."""
        expected, recorded_us, last = self._expected, self._recorded_us, self._last
        self._expected, self._recorded_us = entry.position + 1, entry.recorded_us
        self._last = entry
        if entry.position != expected:
            what = f"positions {expected} to {entry.position - 1} are missing"
            return Break(Sign.GAP, what, None, None, expected, ("", 0), None)
        if recorded_us is not None and entry.recorded_us < recorded_us:
            now, before = show_time(entry.recorded_us), show_time(recorded_us)
            what = f"it was recorded at {now}, and the event before it at {before}"
            before_id = ("", 0) if last is None else (last.stream, last.version)
            where = (entry.stream, entry.version, entry.position)
            return Break(Sign.WRONG, what, *where, before_id, entry.position - 1)
        return None


class Suspicions:
    """Collects signs, and judges them at the end."""

    def __init__(self, first: int) -> None:
        """Take the first position that this pass reads: what is before it, it proves nothing of."""
        self._breaks: list[Break] = []
        self._touched: set[Id] = set()
        self._named: list[range] = []
        self._unproven = [range(first)]
        self._sealed_to = first - 1

    def keep(self, one: Break | None) -> None:
        if one is not None and len(self._breaks) < MOST:
            self._breaks.append(one)

    def sealed(self, first: int, last: int, *, fits: bool) -> None:
        """Learn that a seal's range was read, and whether it is as it was sealed."""
        if first > self._sealed_to + 1:
            self._unproven.append(range(self._sealed_to + 1, first))
        if not fits:
            self._unproven.append(range(first, last + 1))
        self._sealed_to = last

    def explained(self, touched: AbstractSet[Id], positions: range) -> None:
        """Learn that what is wrong in these positions was named, and which events it touches."""
        self._touched |= touched
        self._named.append(positions)

    def judge(self, report: Report) -> None:
        """Add to the report what nothing else has explained."""
        for one in self._breaks:
            named = one.stream is None and any(one.position in some for some in self._named)
            if not named and not {(one.stream, one.version), one.before} & self._touched:
                report.add(self._fault(one))

    def _fault(self, one: Break) -> Fault:
        where = (one.position, one.stream, one.version)
        holder = f"version {one.version}, at position {one.position}"
        before = (one.before_position, *one.before)
        if one.sign is Sign.GAP:
            return Fault(Kind.REMOVED, one.what, one.position)
        if one.sign is Sign.MISSING:
            return Fault(Kind.REMOVED, f"{holder}, stands in the log without it", *before)
        event_good = self._is_proven(one.position)
        before_good = one.before_position is None or self._is_proven(one.before_position)
        if event_good and before_good:
            return Fault(Kind.CHAIN, f"{one.what}; it was so when it was sealed", *where)
        if one.sign is Sign.WRONG:
            return Fault(Kind.CHAIN, one.what, *where)
        if before_good:
            return Fault(Kind.CHANGED, one.what, *where)
        either = "" if event_good else "it or "
        return Fault(Kind.CHANGED, f"{either}{holder}, which holds another hash of it", *before)

    def _is_proven(self, position: int) -> bool:
        if position > self._sealed_to:
            return False
        return not any(position in some for some in self._unproven)
