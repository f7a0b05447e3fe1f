"""The log as a rebuild reads it: by ranges of orders, each order's events together.

Read in this order, an order is folded in one go and written once, and nothing is carried from
one order to the next: memory is bounded by a range's chunk, however long the log is. The index
`events_of_order` gives the order; ids are UUIDv7, so neighbors lie together in the table too.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg

from domain.ids import OrderId
from infrastructure.event_store.mapper import LogEntry

EVENTS_A_RANGE = 20_000
MOST_RANGES = 10_000
ROWS_AT_A_TIME = 1_000
ORDERS_AT_A_TIME = 2_000
LOCK = "SELECT pg_try_advisory_lock(hashtextextended('ordertrail.rebuild', 0))"
LOCK_SHARED = "SELECT pg_try_advisory_lock_shared(hashtextextended('ordertrail.rebuild', 0))"
FIRST_ID = "00000000-0000-0000-0000-000000000000"
COLUMNS = "notification_id, originator_id, originator_version, topic, state, recorded_at, order_id"

Connect: TypeAlias = Callable[[], "psycopg.Connection[Any]"]


class RebuildRunsError(Exception):
    """Another rebuild is at work, or what must not meet one."""


@dataclass(frozen=True, slots=True)
class Range:
    """Orders whose ids are at least `begin` and below `end`; None: to the last."""

    number: int
    begin: str
    end: str | None


@dataclass(frozen=True, slots=True)
class Newest:
    """Attributes: position: of the order's newest event; events: how many it has."""

    order_id: OrderId
    position: int
    events: int


def ranges(bounds: Sequence[str]) -> Sequence[Range]:
    """Cut the key space at these order ids."""
    begins = [FIRST_ID, *bounds]
    ends: list[str | None] = [*bounds, None]
    return [Range(n, *pair) for n, pair in enumerate(zip(begins, ends, strict=True))]


class OrderLog:
    """One connection of its own to the log. Raises psycopg.OperationalError without PostgreSQL."""

    def __init__(self, connect: Connect) -> None:
        self._connection = connect()

    def close(self) -> None:
        self._connection.close()

    def head(self) -> int:
        """Give the position of the newest event; 0 if there is none."""
        return int(self._one("SELECT coalesce(max(notification_id), 0) FROM events"))

    def count_orders(self) -> int:
        return int(self._one("SELECT count(DISTINCT order_id) FROM events"))

    def lock(self) -> None:
        """Take the one place of a rebuild for as long as this connection lives.

        Raises:
            RebuildRunsError: another session has it. A killed one loses it with its connection.
        """
        if not self._one(LOCK):
            raise RebuildRunsError("another rebuild is running, or a customer is being forgotten")

    def keep_rebuilds_out(self) -> bool:
        """Let none begin for as long as this connection lives, as others may; False: one runs."""
        return bool(self._one(LOCK_SHARED))

    def bounds(self, position: int) -> list[str]:
        """Choose order ids that cut the log up to a position into ranges of about one size.

        A sample: the orders of events that stand evenly spaced in the log. Positions have no
        gaps, so these are a few look-ups, however long the log is.
        """
        wanted = min(MOST_RANGES, position // EVENTS_A_RANGE + 1)
        positions = [position * n // wanted for n in range(1, wanted)]
        rows = self._connection.execute(
            "SELECT DISTINCT order_id FROM events"
            " WHERE notification_id = ANY(%s) AND order_id IS NOT NULL ORDER BY order_id",
            [positions],
        )
        return [str(order_id) for (order_id,) in rows]

    def orders(self, of: Range, *, after: str = "") -> Iterator[list[LogEntry]]:
        """Stream the entries of a range's orders through a server-side cursor, some at a time.

        Each list is of whole orders, one after the other, each in log order.
        """
        query = f"SELECT {COLUMNS} FROM events WHERE {_where(of, after)} ORDER BY 7, 1"  # noqa: S608 - no text of anybody's
        entries: list[LogEntry] = []
        with self._connection.transaction(), self._cursor() as cursor:
            cursor.execute(query, _parameters(of, after))
            while rows := cursor.fetchmany(ROWS_AT_A_TIME):
                entries += [LogEntry(*row) for row in rows]
                whole = _whole_orders(entries)
                if whole:
                    yield entries[:whole]
                    del entries[:whole]
        if entries:
            yield entries

    def newest(self, of: Range) -> Iterator[Sequence[Newest]]:
        """Stream a range's orders, some at a time, from the index alone."""
        query = (
            "SELECT order_id, max(notification_id), count(*) FROM events"  # noqa: S608 - as above
            f" WHERE {_where(of, '')} GROUP BY 1 ORDER BY 1"
        )
        with self._connection.transaction(), self._cursor() as cursor:
            cursor.execute(query, _parameters(of, ""))
            while rows := cursor.fetchmany(ORDERS_AT_A_TIME):
                yield [Newest(*row) for row in rows]

    def orders_after(self, position: int, *, to: int) -> Sequence[OrderId]:
        """Give the orders that have events above one position, up to another."""
        rows = self._connection.execute(
            "SELECT DISTINCT order_id FROM events WHERE notification_id > %s"
            " AND notification_id <= %s AND order_id IS NOT NULL",
            [position, to],
        )
        return [OrderId(order_id) for (order_id,) in rows]

    def unknown(self, order_ids: Sequence[OrderId]) -> Sequence[OrderId]:
        """Give those that have no event."""
        rows = self._connection.execute(
            "SELECT id FROM unnest(%s::uuid[]) AS known (id)"
            " WHERE NOT EXISTS (SELECT FROM events WHERE order_id = id)",
            [list(order_ids)],
        )
        return [OrderId(order_id) for (order_id,) in rows]

    def _cursor(self) -> "psycopg.ServerCursor[Any]":
        cursor = psycopg.ServerCursor(self._connection, "orders")
        cursor.format = psycopg.pq.Format.BINARY
        return cursor

    def _one(self, query: Any) -> Any:
        row = self._connection.execute(query).fetchone()
        if row is None:
            raise AssertionError(f"one row was asked for: {query}")
        return row[0]


@contextmanager
def opened(connect: Connect) -> Iterator[OrderLog]:
    """Open the log for a block."""
    with closing(OrderLog(connect)) as log:
        yield log


def _whole_orders(entries: Sequence[LogEntry]) -> int:
    """Say how many entries come before the last order, which may go on in the next rows."""
    count = len(entries)
    while count and entries[count - 1].order_id == entries[-1].order_id:
        count -= 1
    return count


def _where(of: Range, after: str) -> str:
    """Orders of the range that come after one; strict, so that the partial index serves."""
    lower = "order_id > %s" if after else "order_id >= %s"
    return lower if of.end is None else f"{lower} AND order_id < %s"


def _parameters(of: Range, after: str) -> list[str]:
    return [after or of.begin, *([] if of.end is None else [of.end])]
