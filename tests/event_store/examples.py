"""One example of each event, made from its fields alone: what its golden file holds."""

import typing
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from domain.events import DomainEvent
from domain.personal import Address, PersonalData

ORDER = UUID(int=1)
PERSONAL = PersonalData(
    "Ada Byron",
    "ada@example.com",
    "+441632960000",
    Address("GB", "Ada Byron", "1 High St", None, "London", None, "N1 1AA"),
    "tok_visa",
)


def example(event_class: type[DomainEvent]) -> DomainEvent:
    """Fill every field with a value of its type that says which field it is."""
    made: DomainEvent = _made(event_class, "")
    return made


def _made(kind: Any, name: str) -> Any:
    kind = getattr(kind, "__supertype__", kind)
    if kind is PersonalData:
        return PERSONAL
    if isinstance(kind, type) and is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{one.name: _made(hints[one.name], one.name) for one in fields(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if typing.get_args(kind):  # of a tuple, or of a value that may be missing
        one = _made(typing.get_args(kind)[0], name)
        return (one,) if typing.get_origin(kind) is tuple else one
    return _PLAIN[kind](name)


_PLAIN: dict[Any, Any] = {
    bool: lambda _: True,
    int: len,
    str: lambda name: f"some {name}",
    UUID: lambda name: ORDER if name == "order_id" else UUID(int=2),
    datetime: lambda _: datetime(2026, 1, 31, 12, tzinfo=UTC),
}
