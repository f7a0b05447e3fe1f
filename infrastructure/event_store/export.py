"""Stream a part of the log, by order, actor and time, however long it is.

Rule: memory does not grow with what is read: a server-side cursor in one read-only snapshot.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import msgspec
import psycopg
from psycopg import IsolationLevel
from psycopg.rows import DictRow
from psycopg.sql import SQL, Composed

from domain.ids import OrderId
from infrastructure.event_store.mapper import LogEntry
from infrastructure.event_store.recorder import HEAD, log_entry

ENTRIES: LiteralString = (
    "SELECT notification_id, originator_id, originator_version, topic, state, recorded_at,"
    " order_id FROM events"
)
TIME_AT = (
    "SELECT recorded_at FROM events WHERE notification_id >= %s ORDER BY notification_id LIMIT 1"
)
ROWS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events; what is None lets all through.

    Attributes:
        orders: of these orders.
        actor: done by this subject, in whatever role.
        since, before: recorded at or after the one, and before the other.
    """

    orders: Sequence[OrderId] | None = None
    actor: str | None = None
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some entries, in log order. `first`, `last`: the positions of all that is looked through."""

    entries: Sequence[LogEntry]
    first: int
    last: int


def read_selected(connection: psycopg.Connection[DictRow], selection: Selection) -> Iterator[Chunk]:
    """Stream what the log holds now of a selection; the connection is its own meanwhile."""
    connection.set_read_only(True)
    connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    with connection.transaction():
        first, last = _positions(connection, selection)
        query, values = _query(selection, first, last)
        with connection.cursor("export") as cursor:
            cursor.execute(query, values)
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield Chunk([log_entry(row) for row in rows], first, last)


def _positions(connection: psycopg.Connection[DictRow], selection: Selection) -> tuple[int, int]:
    """Turn times into positions: times never decrease along the log, and have no index."""
    row: Any = connection.execute(HEAD).fetchone()
    positions = range(1, int(row["head"]) + 1)

    def recorded_at(position: int) -> datetime:
        row: Any = connection.execute(TIME_AT, [position]).fetchone()
        found: datetime = row["recorded_at"]
        return found

    def first_at(time: datetime) -> int:
        return bisect_left(positions, time, key=recorded_at) + 1

    first = 1 if selection.since is None else first_at(selection.since)
    last = len(positions) if selection.before is None else first_at(selection.before) - 1
    return first, last


def _query(selection: Selection, first: int, last: int) -> tuple[Composed, Sequence[Any]]:
    conditions = [SQL("notification_id BETWEEN %s AND %s")]
    values: list[Any] = [first, last]
    if selection.orders is not None:
        conditions.append(SQL("order_id = ANY(%s)"))
        values.append(list(selection.orders))
    if selection.actor is not None:
        # As the mapper writes it; in a text the quotes would be escaped.
        conditions.append(SQL("position(%b::bytea IN state) > 0"))
        values.append(b'"actor":{"subject":%b,' % msgspec.json.encode(selection.actor))
    where = SQL(" AND ").join(conditions)
    return SQL("{} WHERE {} ORDER BY notification_id").format(SQL(ENTRIES), where), values
