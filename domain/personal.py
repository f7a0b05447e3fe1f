"""Personal data: known by its place in every payload, so that it can be sealed and forgotten."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_type_hints

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address. Only `country` (ISO 3166-1 alpha-2) is always known."""

    country: str
    name: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None


@dataclass(frozen=True, slots=True)
class PersonalData:
    """What identifies a person. It is stored only as ciphertext under that customer's key."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    shipping_address: Address | None = None
    payment_token: str | None = None


FreeText: TypeAlias = Annotated[str, "free text"]
"""A field of an event in which people or carriers write what they like, so perhaps of a person.

It is stored as personal data is. Rule: no decision reads it, only whether there is any.
"""

SEALED = PersonalData(name="[sealed]")
"""What a reader without the right to personal data gets instead of it; of a free text the name."""
FORGOTTEN = PersonalData(name="[forgotten]")
"""What everybody gets once the customer was forgotten; of a free text the name."""


def free_texts(event: object) -> Mapping[str, str]:
    """Give the free texts that an event has, by field."""
    names = _fields_of_text(type(event))  # type: ignore[arg-type]  # a class can be hashed
    texts = ((name, getattr(event, name)) for name in names)
    return {name: text for name, text in texts if text is not None}


def is_personal(event: object) -> bool:
    """Whether something in an event has to be sealed."""
    return hasattr(event, "personal") or bool(free_texts(event))


def mask(event: E, instead: PersonalData) -> E:
    """Give an event with `instead` of all that is personal: SEALED or FORGOTTEN."""
    change: dict[str, Any] = dict.fromkeys(free_texts(event), instead.name)
    if hasattr(event, "personal"):
        change["personal"] = instead
    return replace(event, **change) if change else event  # type: ignore[type-var]  # a dataclass


@cache
def _fields_of_text(event_class: Any) -> tuple[str, ...]:
    hints = get_type_hints(event_class, include_extras=True)
    return tuple(name for name, hint in hints.items() if FreeText in (hint, *get_args(hint)))
