"""Group commit: whoever waits to append goes to the database in one call, in one commit.

While one batch commits, the next gathers: no timer and no added delay. In a batch no append
touches a stream that another one writes, so one caller's conflict is that caller's alone.

A connection that breaks during a call leaves the outcome open. The same batch is then sent
again: what had been stored comes back as replayed, or as a conflict with our own bytes.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import psycopg
import structlog

from infrastructure.event_store.append_call import (
    STATEMENT,
    Outcome,
    StoredAppend,
    outcome,
    parameters,
)
from infrastructure.event_store.lock_watch import LockWatch
from infrastructure.postgres.deadline import deadline
from infrastructure.postgres.pools import CONNECT_TIMEOUT_S, PRIMARY

MOST_APPENDS = 256
MOST_EVENTS = 1_024
MOST_BYTES = 4 * 1_024 * 1_024
"""Of one call's states: a slow database has to store them before the lock's time is over."""
MOST_WAITING = 10_000
MOST_LEFT = 1_024
PATIENCE_S = 5.0
"""How long an append is tried again while the database can't be reached."""
RETRY_S = 0.1
CALL_WITHIN_S = 5.0
CLIENT = f"ordertrail-append {socket.gethostname()}:{os.getpid()}"[:63]
"""What PostgreSQL and the metrics call this process."""

_log = structlog.get_logger(__name__)
_UNREACHABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.TransactionTimeout,  # something held us up under the lock, and we lost it
    psycopg.errors.ReadOnlySqlTransaction,  # a standby, or a primary that is one no more
    OSError,
    TimeoutError,
)


class DatabaseUnreachableError(Exception):
    """The database did not answer for PATIENCE_S, or too many appends wait."""


@dataclass(slots=True)
class _Waiting:
    append: StoredAppend
    done: asyncio.Future[Outcome]


class GroupCommitWriter:
    """Writes for one process over one connection. Use as an async context manager."""

    def __init__(self, postgres_url: str) -> None:
        self._url = postgres_url
        self._lock_watch = LockWatch(postgres_url)
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._connection: psycopg.AsyncConnection[tuple[object, ...]] | None = None
        self._loop: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.create_task(self._run(), name="group-commit")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._loop is not None:
            self._loop.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop
        _settle(self._waiting, DatabaseUnreachableError("the writer was closed"))
        await self._disconnect()

    async def append(self, append: StoredAppend) -> Outcome:
        """Store one append durably, or learn why not.

        Raises:
            DatabaseUnreachableError: whether it is stored is not known.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise DatabaseUnreachableError(f"{MOST_WAITING} appends are waiting already")
        waiting = _Waiting(append, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        return await waiting.done

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            batch = self._next_batch()
            if not self._waiting:
                self._wake.clear()
            if batch:
                await self._commit(batch)

    def _next_batch(self) -> list[_Waiting]:
        """Take what may commit together, in order of arrival; leave the rest for the next batch."""
        batch: list[_Waiting] = []
        written: set[str] = set()
        read: set[str] = set()
        names: set[tuple[str, ...]] = set()
        events = size = 0
        left: list[_Waiting] = []
        while (
            self._waiting
            and len(batch) < MOST_APPENDS
            and len(left) < MOST_LEFT
            and events < MOST_EVENTS
            and size < MOST_BYTES
        ):
            waiting = self._waiting.popleft()
            if waiting.done.cancelled():
                continue
            writes = waiting.append.written_streams()
            reads = set(waiting.append.expected)
            holds = waiting.append.held_names()
            if writes & (written | read) or reads & written or holds & names:
                left.append(waiting)
            else:
                batch.append(waiting)
                events += len(waiting.append.events)
                size += sum(len(event.state) for event in waiting.append.events)
            # Also for one that is left: nobody may overtake it.
            written |= writes
            read |= reads
            names |= holds
        self._waiting.extendleft(reversed(left))
        return batch

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            outcomes = await self._call_patiently([waiting.append for waiting in batch])
        except psycopg.Error as error:
            if not isinstance(error, psycopg.DataError | psycopg.IntegrityError):
                await self._disconnect()  # what is wrong may be this session's alone
            if len(batch) > 1:
                # One append that the database refuses outright must not fail the others.
                for waiting in batch:
                    await self._commit([waiting])
                return
            _settle(batch, error)
        except DatabaseUnreachableError as error:
            _settle(batch, error)
        else:
            for waiting, result in zip(batch, outcomes, strict=True):
                if not waiting.done.done():
                    waiting.done.set_result(result)

    async def _call_patiently(self, appends: Sequence[StoredAppend]) -> Sequence[Outcome]:
        give_up_at = asyncio.get_running_loop().time() + PATIENCE_S
        broken = False
        while True:
            try:
                outcomes = await self._call(appends)
                return await self._own(appends, outcomes) if broken else outcomes
            except _UNREACHABLE as error:
                broken = True
                await self._disconnect()
                if asyncio.get_running_loop().time() > give_up_at:
                    raise DatabaseUnreachableError(str(error)) from error
                _log.warning("append_retried", reason=type(error).__name__, appends=len(appends))
                await asyncio.sleep(RETRY_S)

    async def _call(self, appends: Sequence[StoredAppend]) -> Sequence[Outcome]:
        connection = await self._connected()
        with deadline(connection, CALL_WITHIN_S), self._lock_watch.over_call():
            cursor = await connection.execute(STATEMENT, parameters(appends), prepare=True)
            return [outcome(row) for row in await cursor.fetchall()]

    async def _own(
        self, appends: Sequence[StoredAppend], outcomes: Sequence[Outcome]
    ) -> Sequence[Outcome]:
        """Tell a conflict with somebody else from one with our own first attempt."""
        connection = await self._connected()
        with deadline(connection, CALL_WITHIN_S):
            return [
                await _settled(connection, append, result)
                for append, result in zip(appends, outcomes, strict=True)
            ]

    async def _connected(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name=CLIENT,
                target_session_attrs=PRIMARY,
            )
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*_UNREACHABLE):
                await connection.close()


async def _settled(
    connection: psycopg.AsyncConnection[tuple[object, ...]], append: StoredAppend, result: Outcome
) -> Outcome:
    if result.outcome not in ("version_conflict", "name_taken") or not append.events:
        return result
    last = append.events[-1]
    cursor = await connection.execute(
        "SELECT notification_id FROM events"
        " WHERE originator_id = %s AND originator_version = %s AND state = %b",
        (last.originator_id, last.originator_version, last.state),
    )
    row = await cursor.fetchone()
    return result if row is None else Outcome("stored", b"", int(str(row[0])))


def _settle(batch: Iterable[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.done.done():
            waiting.done.set_exception(error)
