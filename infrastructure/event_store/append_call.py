"""The one statement that writes events: a call of the database function `append_events`.

Everything that commits together is flattened here into the function's parallel arrays.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from types import MappingProxyType
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from domain.ids import CustomerId, OrderId, StreamId
from infrastructure.postgres.packed_arrays import Kind, PackedArray, pack

STATEMENT = (
    "SELECT append, outcome, detail, position FROM append_events(%b::int,"
    " %b::int[], %b::text[], %b::bigint[], %b::text[], %b::bytea[], %b::uuid[],"
    " %b::int[], %b::text[], %b::bigint[],"
    " %b::int[], %b::text[], %b::text[], %b::uuid[],"
    " %b::int[], %b::text[], %b::text[], %b::text[], %b::bytea[], %b::bytea[],"
    " %b::int[], %b::text[], %b::bytea[])"
)

Row: TypeAlias = tuple[Any, ...]
_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class KeptAnswer(msgspec.Struct, frozen=True):
    """What is stored under an idempotency key. `body` is JSON without its position."""

    caller: str
    route: str
    key: str
    fingerprint: bytes
    body: bytes


class StoredAppend(msgspec.Struct, frozen=True):
    """One append, ready to be sent: all of it is stored, or nothing.

    Attributes: order_id: who holds the names; orders: whose each stream is, if an order's.
    """

    events: Sequence[StoredEvent]
    order_id: OrderId | None = None
    orders: Mapping[str, OrderId] = _NOTHING
    expected: Mapping[StreamId, int] = _NOTHING
    unique: Mapping[str, str] = _NOTHING
    answer: KeptAnswer | None = None
    data_keys: Mapping[CustomerId, bytes] = _NOTHING

    def written_streams(self) -> set[str]:
        return {str(event.originator_id) for event in self.events}

    def held_names(self) -> set[tuple[str, ...]]:
        """What no other append of the same batch may hold too."""
        names: set[tuple[str, ...]] = {("name", *pair) for pair in self.unique.items()}
        if self.answer is not None:
            names.add(("key", self.answer.caller, self.answer.route, self.answer.key))
        return names


class Outcome(msgspec.Struct, frozen=True):
    """What became of one append; the names are those of the SQL function."""

    outcome: str
    detail: bytes
    position: int


def parameters(appends: Sequence[StoredAppend]) -> Sequence[Any]:
    """Flatten a batch into the statement's parameters."""
    numbered = list(enumerate(appends))
    events = [
        (
            n,
            e.originator_id,
            e.originator_version,
            e.topic,
            e.state,
            append.orders.get(str(e.originator_id)),
        )
        for n, append in numbered
        for e in append.events
    ]
    expected = [(n, *pair) for n, append in numbered for pair in append.expected.items()]
    unique = [
        (n, *pair, append.order_id) for n, append in numbered for pair in append.unique.items()
    ]
    answers = [
        (n, a.caller, a.route, a.key, a.fingerprint, a.body)
        for n, a in ((n, append.answer) for n, append in numbered)
        if a is not None
    ]
    keys = [(n, *pair) for n, append in numbered for pair in append.data_keys.items()]
    return [
        len(appends),
        *_columns(events, "int", "text", "bigint", "text", "bytea", "uuid"),
        *_columns(expected, "int", "text", "bigint"),
        *_columns(unique, "int", "text", "text", "uuid"),
        *_columns(answers, "int", "text", "text", "text", "bytea", "bytea"),
        *_columns(keys, "int", "text", "bytea"),
    ]


def outcome(row: Row) -> Outcome:
    _, name, detail, position = row
    return Outcome(name, bytes(detail or b""), position or 0)


def name_holder(detail: bytes) -> tuple[str, UUID]:
    """Read the detail of `name_taken`: which kind of name, and the order that holds it."""
    scope, _, order_id = detail.decode().rpartition("/")
    return scope, UUID(order_id)


def _columns(rows: Sequence[Row], *kinds: Kind) -> Iterable[PackedArray]:
    columns = zip(*rows, strict=True) if rows else repeat((), len(kinds))
    return map(pack, kinds, columns)
