"""The handlers' event store: seals what is personal, and appends through the writer."""

import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg.errors import ReadOnlySqlTransaction
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from commands.ports import (
    Answer,
    Append,
    NameTakenError,
    Request,
    StoreUnavailableError,
    Stream,
    StreamUnreadableError,
    VersionConflictError,
    Write,
)
from domain.aggregate import Aggregate
from domain.errors import DomainError
from domain.ids import CustomerId, OrderId, StreamId
from domain.personal import is_personal
from infrastructure.event_store.append_call import KeptAnswer, Outcome, StoredAppend, name_holder
from infrastructure.event_store.loading import StreamLoader
from infrastructure.event_store.mapper import EventMapper, event_hash
from infrastructure.event_store.recorder import KEYS_BY_CUSTOMER
from infrastructure.event_store.sealing import (
    CustomerForgottenError,
    DataKeys,
    KeyDamagedError,
)
from infrastructure.event_store.snapshots import Snapshots
from infrastructure.event_store.writer import DatabaseUnreachableError, GroupCommitWriter
from infrastructure.gathered import Gathered
from infrastructure.postgres.deadline import ServerHangsError, deadline
from infrastructure.postgres.pools import async_pool

S = TypeVar("S")

KEY_RACES = 3
"""Whoever makes the same customer's key at once agrees within two rounds."""
READ_ATTEMPTS = 3
READ_WITHIN_S, PING_WITHIN_S = 3.0, 0.8
# In the "C" collation nothing that begins with a prefix sorts behind prefix + U+10FFFF.
STREAMS_UNDER = """
SELECT e.originator_id FROM unnest(%s::text[]) AS p (prefix)
CROSS JOIN LATERAL (
    SELECT originator_id FROM events
    WHERE originator_id >= p.prefix AND originator_id < p.prefix || chr(1114111)
      AND originator_version = 1
    OFFSET 0) e
"""
NAMES_UNDER = (
    "SELECT name, order_id FROM unique_names"
    " WHERE scope = %s AND name >= %s AND name < %s || chr(1114111)"
)
HOLDER = "SELECT order_id FROM unique_names WHERE scope = %s AND name = %s"
FIND_ANSWER = (
    "SELECT fingerprint, answer, position FROM answers"
    " WHERE caller = %s AND route = %s AND key = %s"
)


class PostgresEventStore:
    """Implements `commands.ports.EventStore`."""

    def __init__(
        self,
        writer: GroupCommitWriter,
        pool: AsyncConnectionPool[psycopg.AsyncConnection[dict[str, Any]]],
        master_key: bytes,
    ) -> None:
        self._writer = writer
        self._pool = pool
        self._keys = DataKeys(master_key)
        self._mapper = EventMapper(self._keys)
        self._loader = StreamLoader(self._read, self._mapper, Snapshots(master_key))
        self._stored_keys = Gathered(self._read_keys)
        self._fingerprint_key = hmac.digest(master_key, b"ordertrail fingerprints", "sha256")

    async def load(self, stream: StreamId, aggregate: Aggregate[S, Any]) -> Stream[S]:
        [loaded] = await self.load_all([(stream, aggregate)])
        return loaded

    async def load_all(
        self, wanted: Sequence[tuple[StreamId, Aggregate[Any, Any]]]
    ) -> Sequence[Stream[Any]]:
        return await self._loader.load_all(wanted)

    async def ping(self) -> None:
        """See whether the store can be read. Raises StoreUnavailableError."""
        await self._read("SELECT 1", [], within_s=PING_WITHIN_S)

    async def streams_under(self, prefixes: Sequence[str]) -> Sequence[StreamId]:
        rows = await self._read(STREAMS_UNDER, [list(prefixes)])
        return [StreamId(row["originator_id"]) for row in rows]

    async def names_under(self, scope: str, prefix: str) -> Sequence[tuple[str, OrderId]]:
        rows = await self._read(NAMES_UNDER, [scope, prefix, prefix])
        return [(row["name"], OrderId(row["order_id"])) for row in rows]

    async def holder_of(self, scope: str, name: str) -> OrderId | None:
        rows = await self._read(HOLDER, [scope, name])
        return OrderId(rows[0]["order_id"]) if rows else None

    async def find_answer(self, request: Request) -> Answer | None:
        if request.idempotency_key is None:
            return None
        scope = [_caller(request), request.route, request.idempotency_key]
        rows = await self._read(FIND_ANSWER, scope)
        if not rows:
            return None
        if bytes(rows[0]["fingerprint"]) != self._fingerprint(request):
            raise _key_reused()
        return _read_answer(bytes(rows[0]["answer"]), rows[0]["position"])

    async def append(self, append: Append) -> Answer:
        if not any(is_personal(event) for write in append.writes for _, event in write.events):
            append = replace(append, customer_id=None)  # so no key is fetched
        for _ in range(KEY_RACES):
            if append.customer_id is not None:
                await self._ensure_key(append.customer_id)
            try:
                stored = self._stored(append)
            except CustomerForgottenError:
                return await self._answered_before(append.request)
            except KeyDamagedError as error:
                raise StreamUnreadableError("the customer's key is damaged") from error
            try:
                outcome = await self._writer.append(stored)
            except DatabaseUnreachableError as error:
                raise StoreUnavailableError(str(error)) from error
            if append.customer_id is None or outcome.outcome != "data_key_raced":
                return _answer(append, outcome)
            self._keys.drop(append.customer_id)
        raise StoreUnavailableError("the customer's data key kept changing")

    async def _answered_before(self, request: Request) -> Answer:
        """Give the answer from when the customer was still known. Raises DomainError."""
        earlier = await self.find_answer(request)
        if earlier is None:
            raise DomainError(
                "customer_forgotten", "this customer was forgotten, and so is this id for good"
            )
        return earlier

    async def _ensure_key(self, customer: CustomerId) -> None:
        if not self._keys.unknown([customer]):
            return
        stored = await self._stored_keys.get(customer)
        # Another request may have made it during the await: one key per process, or they'd race.
        if not self._keys.unknown([customer]):
            return
        if stored is None:
            self._keys.create(customer)
        else:
            self._keys.learn(customer, stored["wrapped_key"])

    async def _read_keys(
        self, customers: Sequence[CustomerId]
    ) -> Sequence[Mapping[str, Any] | None]:
        rows = await self._read(KEYS_BY_CUSTOMER, [list(customers)])
        stored = {row["customer_id"]: row for row in rows}
        return [stored.get(customer) for customer in customers]

    def _stored(self, append: Append) -> StoredAppend:
        customer = append.customer_id
        wrapped = None if customer is None else self._keys.wrapped(customer)
        touched = [*(write.stream for write in append.writes), *append.read]
        return StoredAppend(
            events=[event for write in append.writes for event in self._events(write, customer)],
            order_id=append.holder,
            orders={w.stream.stream: w.order_id for w in append.writes if w.order_id is not None},
            expected={stream.stream: stream.version for stream in touched},
            unique=append.unique,
            answer=self._kept(append),
            data_keys={} if customer is None or wrapped is None else {customer: wrapped},
        )

    def _events(self, write: Write, customer: CustomerId | None) -> Sequence[StoredEvent]:
        stream, version, previous = (
            write.stream.stream,
            write.stream.version,
            write.stream.last_hash,
        )
        events: list[StoredEvent] = []
        for envelope, event in write.events:
            if events:
                previous = event_hash(stream, version, events[-1].topic, events[-1].state)
            version += 1
            stored = self._mapper.to_stored(
                stream,
                version,
                envelope,
                event,
                customer_id=customer,
                previous_hash=previous,
            )
            events.append(stored)
        return events

    def _kept(self, append: Append) -> KeptAnswer | None:
        request = append.request
        if request.idempotency_key is None:
            return None
        return KeptAnswer(
            caller=_caller(request),
            route=request.route,
            key=request.idempotency_key,
            fingerprint=self._fingerprint(request),
            body=msgspec.json.encode(append.answer.body),
        )

    def _fingerprint(self, request: Request) -> bytes:
        """Key the hash of a body: by itself it would tell whether a guess at it is right."""
        return hmac.digest(self._fingerprint_key, request.fingerprint, "sha256")

    async def _read(
        self,
        query: str,
        values: Sequence[Any] | Mapping[str, Any],
        *,
        within_s: float = READ_WITHIN_S,
    ) -> Sequence[dict[str, Any]]:
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                async with self._pool.connection() as connection:
                    with deadline(connection, within_s):
                        cursor = await connection.execute(query, values, prepare=True, binary=True)
                        return await cursor.fetchall()
            except (PoolTimeout, ServerHangsError, ReadOnlySqlTransaction) as error:
                raise StoreUnavailableError(str(error)) from error
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if attempt == READ_ATTEMPTS:
                    raise StoreUnavailableError(str(error)) from error
                # One pooled connection died unnoticed; the others may have too, or may hang.
                await self._pool.drain()
        raise AssertionError("unreachable")


@asynccontextmanager
async def open_event_store(
    postgres_url: str, master_key: bytes, *, pool_size: int, pool_timeout_s: float
) -> AsyncIterator[PostgresEventStore]:
    """Open the store. Works, and opens, while the database is down: calls then say so."""
    pool = async_pool(postgres_url, size=pool_size, timeout_s=pool_timeout_s, row_factory=dict_row)
    async with pool, GroupCommitWriter(postgres_url) as writer:
        yield PostgresEventStore(writer, pool, master_key)


def _caller(request: Request) -> str:
    """Name whose keys these are: a customer and a service of one name don't share any."""
    return f"{request.actor.role}:{request.actor.subject}"


def _answer(append: Append, outcome: Outcome) -> Answer:
    match outcome.outcome:
        case "stored":
            return replace(append.answer, position=outcome.position)
        case "replayed":
            return _read_answer(outcome.detail, outcome.position)
        case "key_reused":
            raise _key_reused()
        case "version_conflict":
            raise VersionConflictError(outcome.detail.decode())
        case "name_taken":
            raise NameTakenError(*name_holder(outcome.detail))
        case unknown:
            raise AssertionError(f"append_events gave {unknown}")


def _read_answer(body: bytes, position: int) -> Answer:
    return Answer(msgspec.json.decode(body, type=dict[str, str | int]), position, replayed=True)


def _key_reused() -> DomainError:
    return DomainError(
        "idempotency_key_reused", "this Idempotency-Key came with another request body before"
    )
