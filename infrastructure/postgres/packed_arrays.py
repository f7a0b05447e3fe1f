"""Flat arrays in PostgreSQL's binary format, as parameters: half the cost of psycopg's own.

psycopg looks up a dumper for each element and calls it. A batch of appends has over a thousand
elements, of types that are known. The format is that of `array_recv`
(src/backend/utils/adt/arrayfuncs.c): dimensions, flags, the elements' oid, their number and the
first index; then the length and the bytes of each element, -1 for NULL.

Rule: a placeholder of one of these is cast to its array type in the statement.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from struct import Struct
from typing import Any, Final, Literal, TypeAlias, assert_never
from uuid import UUID

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

Kind: TypeAlias = Literal["int", "bigint", "text", "bytea", "uuid"]
OIDS: Final[Mapping[Kind, int]] = {"int": 23, "bigint": 20, "text": 25, "bytea": 17, "uuid": 2950}

_head = Struct(">iiIii").pack
_empty = Struct(">iiI").pack
_length = Struct(">i").pack
_int = Struct(">ii").pack
_bigint = Struct(">iq").pack
_NULL: Final = _length(-1)


class PackedArray(bytes):
    """A whole array, ready to be sent."""

    __slots__ = ()


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: PackedArray) -> Buffer:
        return obj


psycopg.adapters.register_dumper(PackedArray, _PackedDumper)


def pack(kind: Kind, values: Sequence[Any]) -> PackedArray:
    """Write one array. Only uuids may be None.

    Raises:
        psycopg.DataError: an element is no such thing: too large a number, half a character.
    """
    oid = OIDS[kind]
    if not values:
        return PackedArray(_empty(0, 0, oid))
    try:
        return PackedArray(_head(1, 0, oid, len(values), 1) + b"".join(_elements(kind, values)))
    except (struct.error, UnicodeEncodeError) as error:
        raise psycopg.DataError(f"an array of {kind}: {error}") from error


def _elements(kind: Kind, values: Sequence[Any]) -> Iterable[bytes]:
    match kind:
        case "int":
            return map(_int, repeat(4), values)
        case "bigint":
            return map(_bigint, repeat(8), values)
        case "text":
            return _prefixed([str.encode(value) for value in values])
        case "bytea":
            return _prefixed(values)
        case "uuid":
            return [_uuid(value) for value in values]
        case _:
            assert_never(kind)


def _prefixed(values: Sequence[bytes]) -> Iterable[bytes]:
    return [part for value in values for part in (_length(len(value)), value)]


def _uuid(value: UUID | None) -> bytes:
    return _NULL if value is None else _length(16) + value.bytes
