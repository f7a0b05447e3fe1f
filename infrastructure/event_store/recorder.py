"""The library's PostgreSQL recorder on our own log: our table, our one way to write.

What the library's recorders promise holds: positions rise in commit order, and a version
that exists already raises IntegrityError. Reading the log with all its columns is added.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row, tuple_row

from domain.ids import CustomerId, OrderId, StreamId
from infrastructure.event_store.append_call import STATEMENT, StoredAppend, parameters
from infrastructure.event_store.mapper import LARGEST_STATE, LogEntry
from infrastructure.postgres.pools import CONNECT_TIMEOUT_S, PRIMARY, RECONNECT_TIMEOUT_S

CHANNEL = "ordertrail_log"
# In the order of LogEntry's fields.
_COLUMNS = (
    "SELECT notification_id, originator_id, originator_version, topic, state, recorded_at,"
    " order_id FROM events"
)
_AFTER = "WHERE notification_id > %(after)s ORDER BY notification_id"
ENTRIES_AFTER = f"{_COLUMNS} {_AFTER} LIMIT %(limit)s"
# Their sizes are known without reading them.
WEIGHED_AFTER = f"""{_COLUMNS} {_AFTER} LIMIT (
    SELECT CASE WHEN sum(octet_length(state)) > %(most_bytes)s THEN %(few)s ELSE %(limit)s END
    FROM (SELECT state FROM events {_AFTER} LIMIT %(limit)s) AS next)"""  # noqa: S608 - ours alone
ENTRIES_OF_ORDERS = f"{_COLUMNS} WHERE order_id = ANY(%s) ORDER BY notification_id"
HEAD = "SELECT coalesce(max(notification_id), 0) AS head FROM events"
ENTRIES_OF_STREAM = f"{_COLUMNS} WHERE originator_id = %s ORDER BY originator_version"
ORDERS = "SELECT count(*) AS orders FROM unique_names WHERE scope = 'order_number'"
ORDER_BY_NUMBER = "SELECT order_id FROM unique_names WHERE scope = 'order_number' AND name = %s"
KEYS_BY_CUSTOMER = "SELECT customer_id, wrapped_key FROM customer_keys WHERE customer_id = ANY(%s)"
SOME_KEYS = (
    "SELECT customer_id, wrapped_key FROM customer_keys WHERE wrapped_key IS NOT NULL LIMIT 100"
)
CURSOR_ROWS = 2_000


class EventLogRecorder(PostgresApplicationRecorder):
    """Reads and writes the table `events`, whose schema the migrations own."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "events") -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        self.sql_create_statements.clear()
        self.channel_name = CHANNEL

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Append events, all or nothing, and give their positions."""
        if not stored_events:
            return []
        call = parameters([StoredAppend(events=stored_events)])
        with self.datastore.get_connection() as connection:
            row = connection.execute(STATEMENT, call, prepare=True).fetchone()
        if row is None:
            raise AssertionError("append_events gives one row per append")
        last = row["position"]
        return list(range(last - len(stored_events) + 1, last + 1))

    def read_log(self, *, after: int, limit: int) -> Sequence[LogEntry]:
        """Read up to `limit` entries with positions above `after`, in order."""
        with self.datastore.get_connection() as connection:
            return read_log(connection, after=after, limit=limit)

    def read_orders(self, order_ids: Sequence[OrderId]) -> Sequence[LogEntry]:
        """Read every stream of several orders, in log order."""
        with self.datastore.get_connection() as connection:
            return _entries(connection, ENTRIES_OF_ORDERS, [list(order_ids)])

    def head(self) -> int:
        """Give the position of the newest entry; 0 if there is none."""
        with self.datastore.get_connection() as connection:
            row = connection.execute(HEAD).fetchone()
        return 0 if row is None else int(row["head"])

    def clock(self) -> datetime:
        """Give the database's time, aware."""
        with self.datastore.get_connection() as connection:
            row = connection.execute("SELECT clock_timestamp() AS now").fetchone()
        if row is None:
            raise AssertionError("a SELECT without FROM gives one row")
        now: datetime = row["now"]
        return now

    def order_ids(self) -> Iterator[OrderId]:
        """Stream the ids of all orders, through a server-side cursor."""
        with (
            self.datastore.get_connection() as connection,
            connection.transaction(),
            connection.cursor("order_ids") as cursor,
        ):
            cursor.itersize = CURSOR_ROWS
            cursor.execute("SELECT DISTINCT order_id FROM events WHERE order_id IS NOT NULL")
            for row in cursor:
                yield OrderId(row["order_id"])

    def count_orders(self) -> int:
        """Count the orders: each has one number."""
        with self.datastore.get_connection() as connection:
            row = connection.execute(ORDERS).fetchone()
        return 0 if row is None else int(row["orders"])

    def find_order(self, order_number: str) -> OrderId | None:
        """Look up whose number this is."""
        with self.datastore.get_connection() as connection:
            row = connection.execute(ORDER_BY_NUMBER, [order_number]).fetchone()
        return None if row is None else OrderId(row["order_id"])

    def read_data_keys(self, customers: Sequence[CustomerId]) -> dict[CustomerId, bytes | None]:
        """Fetch wrapped data keys; None: forgotten. Customers without a row are left out."""
        with self.datastore.get_connection() as connection:
            rows = connection.execute(KEYS_BY_CUSTOMER, [list(customers)], prepare=True).fetchall()
        return {row["customer_id"]: row["wrapped_key"] for row in rows}

    def read_some_data_keys(self) -> dict[CustomerId, bytes]:
        """Fetch a hundred of the wrapped data keys, whosever they are."""
        with self.datastore.get_connection() as connection:
            rows = connection.execute(SOME_KEYS).fetchall()
        return {row["customer_id"]: row["wrapped_key"] for row in rows}


def read_log(
    connection: psycopg.Connection[DictRow], *, after: int, limit: int
) -> Sequence[LogEntry]:
    """Read up to `limit` entries with positions above `after`, in order."""
    return _entries(connection, ENTRIES_AFTER, {"after": after, "limit": limit})


def read_weighed(
    connection: psycopg.Connection[DictRow], *, after: int, limit: int, few: int
) -> Sequence[LogEntry]:
    """Read as `read_log` does, but a `few` where so many are more than `few` of the largest."""
    most_bytes = few * LARGEST_STATE
    values = {"after": after, "limit": limit, "few": few, "most_bytes": most_bytes}
    return _entries(connection, WEIGHED_AFTER, values)


def _entries(
    connection: psycopg.Connection[DictRow], query: str, values: Sequence[Any] | Mapping[str, Any]
) -> Sequence[LogEntry]:
    """Read `_COLUMNS` in PostgreSQL's binary format, a third of the cost of text and of dicts."""
    with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        return [LogEntry(*row) for row in cursor.execute(query, values, prepare=True)]


def log_entry(row: Mapping[str, Any]) -> LogEntry:
    """Read one row of the log."""
    return LogEntry(
        position=row["notification_id"],
        stream=StreamId(row["originator_id"]),
        version=row["originator_version"],
        type=row["topic"],
        state=bytes(row["state"]),
        recorded_at=row["recorded_at"],
        order_id=row["order_id"],
    )


def open_datastore(
    postgres_url: str, *, pool_size: int, connect_timeout_s: float
) -> PostgresDatastore:
    """Connect the library's datastore to a URL; `connect_timeout_s` bounds a wait for the pool.

    A standby is read only where the URL itself says `target_session_attrs`.
    """
    datastore = PostgresDatastore(
        # It has parameters for these parts of a URL alone, none for TLS or options: see below.
        dbname="",
        host="",
        port="",
        user="",
        password="",
        pool_size=pool_size,
        connect_timeout=connect_timeout_s,
        # A connection that died with a restarted server is found out before it is used.
        pre_ping=True,
        originator_id_type="text",
    )
    datastore.pool.kwargs = {
        "row_factory": dict_row,
        "target_session_attrs": PRIMARY,
        **conninfo_to_dict(postgres_url),
        "connect_timeout": CONNECT_TIMEOUT_S,
    }
    datastore.pool.reconnect_timeout = RECONNECT_TIMEOUT_S
    return datastore
