"""Name whoever keeps the log's lock from everybody: a client that froze inside an append.

The database puts such a client out after two seconds (`append_events`); this tells the people on
call who it was. The one who waits looks, on a connection of its own, and only once it has waited.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import structlog
from prometheus_client import Counter

from infrastructure.postgres.deadline import deadline

LOOK_AFTER_S = 0.5
TOLD_WITHIN_S = 2.0
"""A look at a database that hangs must end, or nobody would ever be named again."""
NOBODY = "nobody"
HOLDER = """
SELECT a.application_name, a.pid, extract(epoch FROM clock_timestamp() - a.xact_start)::float8
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()
  AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('ordertrail.log', 0)
"""

_log = structlog.get_logger(__name__)
_blocked = Counter(
    "ordertrail_append_blocked",
    "Batches of appends that took over half a second, by who held the log's lock then",
    ["holder"],
)


class LockWatch:
    """Watches over the calls of one writer."""

    def __init__(self, postgres_url: str) -> None:
        self._url = postgres_url
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def over_call(self) -> Iterator[None]:
        """Watch over one call of append_events: if it takes long, tell who holds the lock."""
        due = asyncio.get_running_loop().call_later(LOOK_AFTER_S, self._look)
        try:
            yield
        finally:
            due.cancel()

    def _look(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._tell(), name="lock-watch")

    async def _tell(self) -> None:
        try:
            async with await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=2
            ) as connection:
                with deadline(connection, TOLD_WITHIN_S):
                    row = await (await connection.execute(HOLDER)).fetchone()
        except (psycopg.Error, OSError) as error:
            _log.warning("append_blocked", reason=type(error).__name__)
            return
        holder, pid, seconds = row or (NOBODY, None, None)
        _blocked.labels(holder).inc()
        _log.warning("append_blocked", holder=holder, pid=pid, held_s=seconds)
