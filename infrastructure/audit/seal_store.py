"""Seals in PostgreSQL: rows that the services can read and add, and never change.

Rule: seals have no gaps and don't overlap, whoever makes them. The function `append_seal` refuses
one that does not follow on the last, so two sealers at once give each number once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from infrastructure.audit.log import Connection

LAST = """
    SELECT number, last_position, seal FROM seals
    WHERE %(before)s::bigint IS NULL OR number < %(before)s ORDER BY number DESC LIMIT 1"""
ROWS = "SELECT number, seal FROM seals WHERE number BETWEEN %s AND %s ORDER BY number"
PLACES = """
    SELECT number, first_position, last_position FROM seals WHERE number BETWEEN %s AND %s"""
HOLDING = "SELECT number FROM seals WHERE last_position >= %s ORDER BY number LIMIT 1"


class SealTakenError(Exception):
    """Another sealer was first: read on from its seal."""


@dataclass(frozen=True, slots=True)
class StoredSeal:
    """A row. `last_position` is for looking up only; what counts is in the signed `raw`."""

    number: int
    last_position: int
    raw: bytes


def last_seal(connection: Connection) -> StoredSeal | None:
    return seal_before(connection, None)


def seal_before(connection: Connection, number: int | None) -> StoredSeal | None:
    """Read the last seal before a number; the last of all, if that is None."""
    row = connection.execute(LAST, {"before": number}).fetchone()
    return None if row is None else StoredSeal(row[0], row[1], bytes(row[2]))


def seals_between(connection: Connection, first: int, last: int) -> Mapping[int, bytes]:
    """Read seals by number, both ends within."""
    return {number: bytes(raw) for number, raw in connection.execute(ROWS, [first, last])}


def places_between(connection: Connection, first: int, last: int) -> Mapping[int, tuple[int, int]]:
    """Read what the rows of seals say that these cover, by number."""
    rows = connection.execute(PLACES, [first, last])
    return {number: (begin, end) for number, begin, end in rows}


def seal_holding(connection: Connection, position: int) -> int | None:
    """Look up which seal covers a position; None: no seal does."""
    row = connection.execute(HOLDING, [position]).fetchone()
    return None if row is None else int(row[0])


def append_seal(connection: Connection, number: int, first: int, last: int, raw: bytes) -> None:
    """Store a seal.

    Raises:
        SealTakenError: it does not follow on the last seal.
    """
    try:
        connection.execute("SELECT append_seal(%s, %s, %s, %s)", [number, first, last, raw])
    except psycopg.errors.SerializationFailure as error:
        raise SealTakenError(str(error.diag.message_primary)) from error
