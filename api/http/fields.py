"""Kinds of values in requests. Rule: what passes is stored as it came, character for character.

Nothing is stripped or normalized. Control characters (C0, DEL, C1) are refused: they have no
place in a name, and terminals, CSV readers and PostgreSQL (NUL) trip over them.
"""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from domain.personal import FORGOTTEN, SEALED

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_DIGITS = 19
LARGEST_POSITION = 2**63 - 1


class Strict(BaseModel):
    """A request body: unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _printable(text: str) -> str:
    if CONTROL_CHARACTER.search(text):
        raise PydanticCustomError("control_character", "Control characters are not allowed")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "This may not be blank")
    return text


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or not RFC3339.fullmatch(value):
        raise PydanticCustomError("date_time", "This is an RFC 3339 time with its offset")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("date_time", "There is no such time") from error
    if moment < EPOCH:
        raise PydanticCustomError("date_time", "This may not be before 1970")
    return moment


def _position_or_moment(value: object) -> int | datetime:
    if not (isinstance(value, str) and value.isascii() and value.isdigit()):
        return _moment(value)
    if len(value) > MOST_DIGITS or int(value) > LARGEST_POSITION:
        raise PydanticCustomError("position", "There is no such log position")
    return int(value)


def _digits(value: object) -> object:
    if isinstance(value, str) and not (
        value.isascii() and value.isdigit() and len(value) <= MOST_DIGITS
    ):
        raise PydanticCustomError("digits", "This is a number written in decimal digits")
    return value


def _no_mask(value: str) -> str:
    if value in (FORGOTTEN.name, SEALED.name):
        raise PydanticCustomError("mask", "This stands for a name that nobody may see")
    return value


Printable = AfterValidator(_printable)
NotBlank = AfterValidator(_not_blank)

Moment = Annotated[
    datetime,
    PlainValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An RFC 3339 time, from 1970 on, as aware UTC."""

Digits = BeforeValidator(_digits)
"""Before an int that comes as text: digits only, no sign, no spaces, no underscores."""

Position = Annotated[int, Digits, Field(le=LARGEST_POSITION)]
PositionOrMoment = Annotated[
    int | datetime,
    PlainValidator(_position_or_moment),
    WithJsonSchema({"type": "string"}),
]
"""A log position in decimal digits, or an RFC 3339 time."""

Text64 = Annotated[str, StringConstraints(max_length=64), Printable]
Text128 = Annotated[str, StringConstraints(max_length=128), Printable]
Text200 = Annotated[str, StringConstraints(max_length=200), Printable]
Text500 = Annotated[str, StringConstraints(max_length=500), Printable]
Identifier64 = Annotated[Text64, NotBlank]
Identifier128 = Annotated[Text128, NotBlank]
PersonName = Annotated[Text200, AfterValidator(_no_mask)]
Email = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$"), Printable]
Phone = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{1,14}$")]
CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
