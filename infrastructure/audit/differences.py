"""What is different between a range as it was sealed and as it is: the first event, by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infrastructure.audit.log import show_order, show_time
from infrastructure.audit.merkle import Entry
from infrastructure.audit.report import Fault, Id, Kind


@dataclass(frozen=True, slots=True)
class Difference:
    """Attributes: first: the first difference; touched: every event that differs, old or new."""

    first: Fault
    touched: frozenset[Id]


def difference(
    sealed: Sequence[Entry], found: Sequence[Entry], position_of: Callable[[Id], int | None]
) -> Difference | None:
    """Compare position by position; None if there is no difference.

    Args:
        sealed: the range as it was, proven by the seal's root.
        found: the range as it is, in position order.
        position_of: looks up where in the log an event stands now.
    """
    now = {entry.position: entry for entry in found}
    differing = [entry for entry in sealed if now.get(entry.position) != entry]
    if not differing:
        return _twice(found) if len(found) > len(now) else None
    first = differing[0]
    known = {_id(entry) for entry in sealed}
    fault = _fault(first, now.get(first.position), known, position_of)
    touched = {_id(entry) for entry in differing}
    touched |= {_id(now[entry.position]) for entry in differing if entry.position in now}
    if (others := len(differing) - 1) > 0:
        more = f"; {others} more of this seal's positions differ"
        fault = Fault(fault.kind, fault.what + more, fault.position, fault.stream, fault.version)
    return Difference(fault, frozenset(touched))


def _fault(
    was: Entry, now: Entry | None, known: set[Id], position_of: Callable[[Id], int | None]
) -> Fault:
    if now is not None and _id(now) == _id(was):
        return Fault(Kind.CHANGED, ", ".join(_changes(was, now)), *_where(was))
    elsewhere = position_of(_id(was))
    if elsewhere is None:
        gone = "nothing stands there now" if now is None else f"{_name(now)} stands there now"
        return Fault(Kind.REMOVED, gone, *_where(was))
    if now is not None and _id(now) not in known:
        moved = f"what was sealed there, {_name(was)}, is now at position {elsewhere}"
        return Fault(Kind.INSERTED, moved, *_where(now))
    return Fault(Kind.REORDERED, f"it is now at position {elsewhere}", *_where(was))


def _changes(was: Entry, now: Entry) -> Sequence[str]:
    changes = []
    if was.event_hash != now.event_hash:
        changes.append("its name or its state (envelope, payload) is not what was sealed")
    if was.recorded_us != now.recorded_us:
        then, later = show_time(was.recorded_us), show_time(now.recorded_us)
        changes.append(f"recorded_at was {then}, is {later}")
    if was.order_id != now.order_id:
        changes.append(f"order_id was {show_order(was.order_id)}, is {show_order(now.order_id)}")
    return changes


def _twice(found: Sequence[Entry]) -> Difference:
    seen: set[int] = set()
    for entry in found:
        if entry.position in seen:
            break
        seen.add(entry.position)
    fault = Fault(Kind.INSERTED, "its position is held by two events", *_where(entry))
    return Difference(fault, frozenset({_id(entry)}))


def _id(entry: Entry) -> Id:
    return entry.stream, entry.version


def _name(entry: Entry) -> str:
    return f"{entry.stream} version {entry.version}"


def _where(entry: Entry) -> tuple[int, str, int]:
    return entry.position, entry.stream, entry.version
