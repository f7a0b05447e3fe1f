"""The event store's port, in memory: it keeps every promise of the port but durability."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar
from uuid import UUID, uuid4

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
from domain.ids import OrderId, OrderNumber, StreamId, format_order_number
from domain.order.events import OrderCancelled, OrderEvent, OrderLinesCancelled, OrderPlaced

S = TypeVar("S")

TYPES: Mapping[type, str] = {
    OrderPlaced: "order.placed.v1",
    OrderLinesCancelled: "order.lines_cancelled.v2",
    OrderCancelled: "order.cancelled.v2",
}


class InMemoryEventStore:
    """One log.

    Attributes:
        log: every event, in order.
        is_down: nothing answers.
        conflicts: so many of the next appends find that their stream has moved on.
    """

    def __init__(self) -> None:
        self.log: list[Recorded[OrderEvent]] = []
        self.is_down = False
        self.conflicts = 0
        self._names: dict[tuple[str, str], OrderId] = {}
        self._answers: dict[tuple[str, str, str], tuple[bytes, Answer]] = {}

    def of_order(self, order_id: OrderId) -> Sequence[Recorded[OrderEvent]]:
        self._require_up()
        return [recorded for recorded in self.log if recorded.order_id == order_id]

    async def load(self, stream: StreamId, aggregate: Aggregate[S, OrderEvent]) -> Stream[S]:
        self._require_up()
        found = self._of(stream)
        state: S | None = None
        for recorded in found:
            state = aggregate.evolve(state, recorded.event)
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

    async def append(self, append: Append) -> Answer:
        earlier = await self.find_answer(append.request)
        if earlier is not None:
            return earlier
        if self.conflicts > 0:
            self.conflicts -= 1
            raise VersionConflictError
        for stream, version in append.expected.items():
            if len(self._of(stream)) != version:
                raise VersionConflictError
        for scope, name in append.unique.items():
            if (scope, name) in self._names:
                raise NameTakenError(scope, self._names[scope, name])
        if append.last_hash != self._hash(self._of(append.stream)):
            raise VersionConflictError
        self._names |= dict.fromkeys(append.unique.items(), append.order_id)
        self._record(append)
        answer = replace(append.answer, position=len(self.log))
        if append.request.idempotency_key is not None:
            key = _scope(append.request, append.request.idempotency_key)
            self._answers[key] = (append.request.fingerprint, answer)
        return answer

    def _record(self, append: Append) -> None:
        for envelope, event in append.events:
            version = 1 + len(self._of(append.stream))
            self.log.append(
                Recorded(
                    position=len(self.log) + 1,
                    stream=append.stream,
                    version=version,
                    type=TYPES[type(event)],
                    order_id=append.order_id,
                    recorded_at=datetime.now(UTC),
                    envelope=envelope,
                    event=event,
                )
            )

    def _of(self, stream: StreamId) -> Sequence[Recorded[OrderEvent]]:
        return [recorded for recorded in self.log if recorded.stream == stream]

    def _require_up(self) -> None:
        if self.is_down:
            raise StoreUnavailableError

    @staticmethod
    def _hash(recorded: Sequence[Recorded[OrderEvent]]) -> bytes:
        return sha256(repr(recorded).encode()).digest() if recorded else NO_HASH


def _scope(request: Request, key: str) -> tuple[str, str, str]:
    return (request.actor.subject, request.route, key)


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class CountedNames:
    """Order numbers in a row; ids are random."""

    def __init__(self) -> None:
        self._drawn = 0

    def new_order_id(self) -> OrderId:
        return OrderId(uuid4())

    def new_event_id(self) -> UUID:
        return uuid4()

    def draw_order_number(self) -> OrderNumber:
        self._drawn += 1
        return format_order_number(self._drawn)
