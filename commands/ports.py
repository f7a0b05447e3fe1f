"""What handlers need of the outside world. Adapters in `infrastructure` implement it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from commands.turns import Turns
from domain.aggregate import Aggregate
from domain.envelope import Actor, Envelope
from domain.errors import UnavailableError
from domain.events import DomainEvent
from domain.ids import CustomerId, OrderId, OrderNumber, StreamId

S = TypeVar("S")

NO_HASH = b"\0" * 32
"""What stands before the first event of a stream."""


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, and under which names the consequences are filed.

    Attributes:
        idempotency_key: the caller's `Idempotency-Key`, if one was sent.
        fingerprint: hash of the parsed body; tells a repeated request from a reused key.
        route: the scope of the key besides the caller, such as `POST /v1/orders`.
    """

    actor: Actor
    command_id: str
    correlation_id: str
    route: str
    traceparent: str | None = None
    idempotency_key: str | None = None
    fingerprint: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answers; a replayed one is the first answer again.

    Attributes:
        body: what it made or changed, and how that is now. JSON values.
        position: log position of this command's last event; the store sets it.
        replayed: the idempotency key was known, and nothing was appended now.
    """

    body: Mapping[str, str | int]
    position: int = 0
    replayed: bool = False

    @property
    def order_id(self) -> OrderId:
        """Whose order it is about; only of answers that are about one."""
        return OrderId(UUID(str(self.body["order_id"])))

    @property
    def order_number(self) -> OrderNumber:
        return OrderNumber(str(self.body["order_number"]))

    @property
    def status(self) -> str:
        return str(self.body["status"])

    @property
    def version(self) -> int:
        """Give the order's version after this command."""
        return int(self.body["version"])


@dataclass(frozen=True, slots=True)
class Stream(Generic[S]):
    """One stream as loaded: its events folded, and where it ends.

    Attributes:
        state: None while it has no event; version and position of its last event are 0 then.
        last_hash: of its last event; what the next one is chained to.
    """

    stream: StreamId
    state: S | None
    version: int
    position: int
    last_hash: bytes

    @classmethod
    def unwritten(cls, stream: StreamId) -> "Stream[S]":
        """Give a stream that has no event, as far as the decision knows."""
        return cls(stream, None, version=0, position=0, last_hash=NO_HASH)


@dataclass(frozen=True, slots=True)
class Write:
    """Events to add to one stream, as it was when they were decided.

    Attributes: order_id: whose history they are in; None: no order's, such as stock.
    """

    stream: Stream[Any]
    events: Sequence[tuple[Envelope, DomainEvent]]
    order_id: OrderId | None


@dataclass(frozen=True, slots=True)
class Append:
    """Events to add to some streams, and everything that commits with them or not at all.

    Attributes:
        writes: where nothing is written, nothing is stored but the answer.
        read: streams that the decision rests on without writing them: they must not have moved.
        customer_id: whose key seals what is personal in the events; None: nothing is.
        unique: claims on names that only one order may hold: scope -> name. `holder` gets them.
        answer: stored under the request's idempotency key; its position is set by the store.
    """

    writes: Sequence[Write]
    request: Request
    answer: Answer
    customer_id: CustomerId | None = None
    read: Sequence[Stream[Any]] = ()
    unique: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    holder: OrderId | None = None


class VersionConflictError(Exception):
    """A stream that the decision read has moved on: load and decide again."""


class NameTakenError(Exception):
    """A unique name is held by another order.

    Attributes: scope: which kind of name; order_id: who holds it.
    """

    def __init__(self, scope: str, order_id: UUID) -> None:
        super().__init__(f"{scope} is taken by {order_id}")
        self.scope = scope
        self.order_id = order_id


class StoreUnavailableError(UnavailableError):
    """The event store did not answer. Whether anything was stored is not known."""

    def __init__(self, detail: str = "does not answer") -> None:
        super().__init__("postgres", detail)


class StreamUnreadableError(Exception):
    """An event of a stream can't be read or applied by this version, so nothing can be decided.

    Or the key of whose order it is can't be used, so nothing personal can be kept.
    """


class EventStore(Protocol):
    async def load(self, stream: StreamId, aggregate: Aggregate[S, Any]) -> Stream[S]:
        """Read one stream to its end and fold it.

        Raises:
            StoreUnavailableError: the event store does not answer.
            StreamUnreadableError: an event of it can't be read.
        """
        ...

    async def load_all(
        self, wanted: Sequence[tuple[StreamId, Aggregate[Any, Any]]]
    ) -> Sequence[Stream[Any]]:
        """Read several streams as they are at one moment. Raises as `load`."""
        ...

    async def streams_under(self, prefixes: Sequence[str]) -> Sequence[StreamId]:
        """List the streams whose names begin with one of these. Raises StoreUnavailableError."""
        ...

    async def names_under(self, scope: str, prefix: str) -> Sequence[tuple[str, OrderId]]:
        """List unique names that begin so, with their holders. Raises StoreUnavailableError."""
        ...

    async def holder_of(self, scope: str, name: str) -> OrderId | None:
        """Look up which order holds a unique name. Raises StoreUnavailableError."""
        ...

    async def find_answer(self, request: Request) -> Answer | None:
        """Look up what was answered under this request's idempotency key.

        Raises:
            DomainError: `idempotency_key_reused`, where the body was another.
            StoreUnavailableError: the store can't be reached.
        """
        ...

    async def append(self, append: Append) -> Answer:
        """Store all of it or nothing, durably, and give the answer with its position.

        The same idempotency key stored before gives the first answer, and appends nothing.

        Raises:
            VersionConflictError: an expected version is not the stream's.
            NameTakenError: a unique name is held by another order.
            DomainError: `idempotency_key_reused`, where the body was another;
                `customer_forgotten`, where an event has personal data of such a customer; free text
                is left out then.
            StoreUnavailableError: the store can't be reached.
        """
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """Give the time, aware and in UTC."""
        ...


class Names(Protocol):
    """Where new ids come from."""

    def new_order_id(self) -> OrderId: ...

    def new_event_id(self) -> UUID: ...

    def draw_order_number(self) -> OrderNumber: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All that a handler may use."""

    store: EventStore
    clock: Clock
    names: Names
    turns: Turns = field(default_factory=Turns)
