"""What differs between two documents, named by JSON path, and how that is told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from domain.ids import OrderId
from infrastructure.redis.stored_document import StoredDocument

MOST_PATHS = 5
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """One order, and what is wrong or different with it, in words."""

    order_id: OrderId | None
    what: str

    def __str__(self) -> str:
        return self.what if self.order_id is None else f"{self.order_id}: {self.what}"


@dataclass(frozen=True, slots=True)
class Findings:
    """Attributes: count: of all that was found; named: the first of them."""

    count: int
    named: Sequence[Difference]

    def __add__(self, other: "Findings") -> "Findings":
        named = [*self.named, *other.named]
        return Findings(self.count + other.count, named[:MOST_NAMED])

    @classmethod
    def of(cls, found: Sequence[Difference]) -> "Findings":
        return cls(len(found), found[:MOST_NAMED])


NOTHING = Findings(0, ())


def describe(one: StoredDocument | None, other: StoredDocument | None) -> str | None:
    """Say in which places the second document differs from the first; None: in none.

    Values are not shown: they may be personal.
    """
    if one is None or other is None:
        return None if one is other else f"the document is {'missing' if other is None else 'new'}"
    paths = list(_paths("$", _body(one), _body(other)))
    if not paths and one.body != other.body:
        paths.append("the order of its members")
    if one.header != other.header:
        paths.append("the header")
    if one.position != other.position:
        paths.append("the position")
    if not paths:
        return None
    rest = f" and {len(paths) - MOST_PATHS} more" if len(paths) > MOST_PATHS else ""
    return f"differs in {', '.join(paths[:MOST_PATHS])}{rest}"


def _body(stored: StoredDocument) -> Any:
    try:
        return orjson.loads(stored.body)
    except orjson.JSONDecodeError:
        return {"no JSON": stored.body}


def _paths(path: str, one: Any, other: Any) -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in dict.fromkeys([*one, *other]):
            yield from _paths(f"{path}.{name}", one.get(name), other.get(name))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from _paths(f"{path}[{number}]", *pair)
    elif one != other:
        yield path
