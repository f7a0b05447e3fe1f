"""The event store's port, in memory: it keeps every promise of the port but durability."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from commands.ports import (
    NO_HASH,
    Answer,
    Append,
    NameTakenError,
    Request,
    StoreUnavailableError,
    Stream,
    VersionConflictError,
)
from domain.aggregate import Aggregate
from domain.envelope import Recorded
from domain.errors import DomainError
from domain.events import DomainEvent
from domain.ids import CustomerId, OrderId, OrderNumber, StreamId, format_order_number
from domain.personal import FORGOTTEN, SEALED, is_personal, mask
from infrastructure.event_store.catalog import CATALOG

S = TypeVar("S")


class InMemoryEventStore:
    """One log.

    Attributes:
        log: every event, in order.
        is_down: nothing answers.
        forgotten: customers whose key was deleted.
        conflicts: so many of the next appends find that their stream has moved on.
    """

    def __init__(self) -> None:
        self.log: list[Recorded[DomainEvent]] = []
        self.is_down = False
        self.forgotten: set[CustomerId] = set()
        self.conflicts = 0
        self._names: dict[tuple[str, str], OrderId] = {}
        self._answers: dict[tuple[str, str, str], tuple[bytes, Answer]] = {}

    def of_order(self, order_id: OrderId) -> Sequence[Recorded[DomainEvent]]:
        self._require_up()
        return [recorded for recorded in self.log if recorded.order_id == order_id]

    async def load(self, stream: StreamId, aggregate: Aggregate[S, Any]) -> Stream[S]:
        self._require_up()
        found = self._of(stream)
        state: S | None = None
        for recorded in found:
            state = aggregate.evolve(state, mask(recorded.event, SEALED))
        return Stream(
            stream=stream,
            state=state,
            version=len(found),
            position=found[-1].position if found else 0,
            last_hash=self._hash(found),
        )

    async def find_answer(self, request: Request) -> Answer | None:
        self._require_up()
        if request.idempotency_key is None:
            return None
        known = self._answers.get(_scope(request, request.idempotency_key))
        if known is None:
            return None
        fingerprint, answer = known
        if fingerprint != request.fingerprint:
            raise DomainError("idempotency_key_reused", "the key was used with another body")
        return replace(answer, replayed=True)

    async def load_all(
        self, wanted: Sequence[tuple[StreamId, Aggregate[Any, Any]]]
    ) -> Sequence[Stream[Any]]:
        return [await self.load(*one) for one in wanted]

    async def streams_under(self, prefixes: Sequence[str]) -> Sequence[StreamId]:
        self._require_up()
        known = dict.fromkeys(recorded.stream for recorded in self.log)
        return [stream for stream in known if stream.startswith(tuple(prefixes))]

    async def names_under(self, scope: str, prefix: str) -> Sequence[tuple[str, OrderId]]:
        self._require_up()
        return [
            (name, holder)
            for (kind, name), holder in self._names.items()
            if kind == scope and name.startswith(prefix)
        ]

    async def holder_of(self, scope: str, name: str) -> OrderId | None:
        self._require_up()
        return self._names.get((scope, name))

    async def append(self, append: Append) -> Answer:
        earlier = await self.find_answer(append.request)
        if earlier is not None:
            return earlier
        events = [event for write in append.writes for _, event in write.events]
        if any(map(is_personal, events)):
            assert append.customer_id is not None
            unknown = append.customer_id in self.forgotten
            if unknown and any(hasattr(event, "personal") for event in events):
                raise DomainError("customer_forgotten", "the key was deleted")
        if self.conflicts > 0:
            self.conflicts -= 1
            raise VersionConflictError
        self._require_unmoved(append)
        for scope, name in append.unique.items():
            if (scope, name) in self._names:
                raise NameTakenError(scope, self._names[scope, name])
        if append.holder is not None:
            self._names |= dict.fromkeys(append.unique.items(), append.holder)
        self._record(append)
        answer = replace(append.answer, position=len(self.log))
        if append.request.idempotency_key is not None:
            key = _scope(append.request, append.request.idempotency_key)
            self._answers[key] = (append.request.fingerprint, answer)
        return answer

    def _require_unmoved(self, append: Append) -> None:
        for stream in (*(write.stream for write in append.writes), *append.read):
            now = self._of(stream.stream)
            if len(now) != stream.version or self._hash(now) != stream.last_hash:
                raise VersionConflictError

    def _record(self, append: Append) -> None:
        unknown = append.customer_id in self.forgotten
        for write in append.writes:
            for envelope, event in write.events:
                self.log.append(
                    Recorded(
                        position=len(self.log) + 1,
                        stream=write.stream.stream,
                        version=1 + len(self._of(write.stream.stream)),
                        type=CATALOG.name_of(type(event)),
                        order_id=write.order_id,
                        recorded_at=datetime.now(UTC),
                        envelope=envelope,
                        event=mask(event, FORGOTTEN) if unknown else event,
                    )
                )

    def _of(self, stream: StreamId) -> Sequence[Recorded[DomainEvent]]:
        return [recorded for recorded in self.log if recorded.stream == stream]

    def _require_up(self) -> None:
        if self.is_down:
            raise StoreUnavailableError

    @staticmethod
    def _hash(recorded: Sequence[Recorded[DomainEvent]]) -> bytes:
        return sha256(repr(recorded).encode()).digest() if recorded else NO_HASH


def _scope(request: Request, key: str) -> tuple[str, str, str]:
    return (request.actor.subject, request.route, key)


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class CountedNames:
    """Order numbers in a row; ids sort by time."""

    def __init__(self) -> None:
        self._drawn = 0

    def new_order_id(self) -> OrderId:
        return OrderId(uuid7())

    def new_event_id(self) -> UUID:
        return uuid7()

    def draw_order_number(self) -> OrderNumber:
        self._drawn += 1
        return format_order_number(self._drawn)
