"""The log as the audit reads it: raw columns, in position order, as fast as they come.

Rule: what is hashed is what is stored. Times and ids are taken as PostgreSQL's own bytes (its
time is a whole number of microseconds), never by way of a type that could round or rewrite them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, NamedTuple, TypeAlias
from uuid import UUID

import msgspec
import psycopg

from infrastructure.audit.merkle import Entry
from infrastructure.event_store.mapper import event_hash

Connection: TypeAlias = psycopg.Connection[Any]
CHUNK_ROWS = 2_000
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_COLUMNS = (
    "SELECT notification_id, originator_id, originator_version, topic, state,"
    " timestamptz_send(recorded_at), uuid_send(order_id) FROM events"
)
RANGE = f"{_COLUMNS} WHERE notification_id BETWEEN %s AND %s ORDER BY notification_id"
STREAM_EVENTS = f"""{_COLUMNS}
    JOIN unnest(%s::text[], %s::bigint[]) AS wanted (stream, version)
      ON originator_id = wanted.stream AND originator_version = wanted.version"""
NOWHERE = f"""{_COLUMNS} WHERE notification_id < 1 OR notification_id IS NULL
    ORDER BY notification_id LIMIT %s"""
HEAD = "SELECT coalesce(max(notification_id), 0) FROM events"


class Event(NamedTuple):
    """One row of the log. `recorded`: microseconds since 2000, 8 bytes; `order_id`: 16, or None."""

    position: int
    stream: str
    version: int
    type: str
    state: bytes
    recorded: bytes
    order_id: bytes | None


class _Link(msgspec.Struct):
    previous_hash: str


_links = msgspec.json.Decoder(_Link)


def entry_of(event: Event) -> Entry:
    """Hash an event."""
    return Entry(
        event.position,
        event.stream,
        event.version,
        recorded_us(event.recorded),
        event.order_id or b"",
        event_hash(event.stream, event.version, event.type, event.state),
    )


def recorded_us(raw: bytes) -> int:
    """Read PostgreSQL's bytes of a time: microseconds since 2000."""
    return int.from_bytes(raw, "big", signed=True)


def previous_hash(state: bytes) -> str | None:
    """Read which hash an event holds of the one before it; None if there is none to be read."""
    try:
        return _links.decode(state).previous_hash
    except (ValueError, RecursionError):
        return None


def read_range(
    connection: Connection, first: int, last: int, *, cursor: str = "audit"
) -> Iterator[Sequence[Event]]:
    """Stream events in position order, through a server-side cursor of that name.

    In a transaction, chunk by chunk; both ends are within the range.
    """
    with connection.cursor(cursor) as rows:
        rows.execute(RANGE, [first, last], binary=True)
        while chunk := rows.fetchmany(CHUNK_ROWS):
            yield [Event._make(row) for row in chunk]


def find_events(
    connection: Connection, wanted: Iterable[tuple[str, int]]
) -> Mapping[tuple[str, int], Event]:
    """Look events up by stream and version; those that the log lacks are left out."""
    streams, versions = zip(*wanted, strict=True)
    rows = connection.execute(STREAM_EVENTS, [list(streams), list(versions)], binary=True)
    return {(event.stream, event.version): event for event in map(Event._make, rows)}


def read_nowhere(connection: Connection, most: int) -> Sequence[Event]:
    """Read events that stand before the log's first position, where nothing is ever stored."""
    rows = connection.execute(NOWHERE, [most], binary=True)
    return [Event._make(row) for row in rows]


def read_head(connection: Connection) -> int:
    """Give the position of the newest event; 0 if there is none."""
    return int(scalar(connection, HEAD))


def scalar(connection: Connection, query: LiteralString, *parameters: object) -> Any:
    """Ask for one value; None where there is no row."""
    row = connection.execute(query, parameters).fetchone()
    return None if row is None else row[0]


def show_time(recorded_us: int) -> str:
    """Write a time for people, in full; also one that no calendar has."""
    try:
        return (_EPOCH + timedelta(microseconds=recorded_us)).isoformat()
    except OverflowError:
        return f"{recorded_us} µs after 2000"


def show_order(order_id: bytes) -> str:
    return str(UUID(bytes=order_id)) if order_id else "none"
