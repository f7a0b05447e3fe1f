"""Arrays that are packed by hand arrive as those that psycopg packs."""

import uuid
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from infrastructure.postgres.packed_arrays import Kind, pack

VALUES: Sequence[tuple[Kind, Sequence[Any]]] = [
    ("int", [0, -1, 2**31 - 1, -(2**31)]),
    ("bigint", [0, -1, 2**63 - 1, -(2**63)]),
    ("text", ["", "plain", "\N{SNOWMAN} and \N{FIRE}", '{"a", NULL}']),
    ("bytea", [b"", b"\x00\xff", b"x" * 100_000]),
    ("uuid", [uuid.UUID(int=1), None, uuid.UUID(int=2**128 - 1)]),
]


@pytest.mark.parametrize(("kind", "values"), VALUES)
def test_a_packed_array_arrives_element_for_element(
    database_url: str, kind: Kind, values: Sequence[Any]
) -> None:
    for sent in (values, values[:1], []):
        assert stored(database_url, kind, sent) == list(sent)


@pytest.mark.parametrize(("kind", "value"), [("int", 2**31), ("bigint", 2**63), ("text", "\ud800")])
def test_what_no_array_can_hold_is_an_error_of_the_database_driver(
    kind: Kind, value: object
) -> None:
    with pytest.raises(psycopg.DataError):
        pack(kind, [value])


def stored(url: str, kind: Kind, values: Sequence[Any]) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT %b::{kind}[]", [pack(kind, values)]).fetchone()
    assert row is not None
    return row[0]
