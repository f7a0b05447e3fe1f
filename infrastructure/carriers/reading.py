"""How a webhook is read and refused, whoever sent it.

Rule: the answer never says which part of a signature was wrong, nor repeats what was sent.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from domain.errors import DomainError

M = TypeVar("M", bound=BaseModel)


def _to_utc(time: datetime) -> datetime:
    """Give it in UTC; times without an offset are UTC, as EasyPost says of its own."""
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time is between the years 1 and 9999") from error


_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _printable(text: str) -> str:
    if _CONTROL_CHARACTER.search(text):
        raise ValueError("control characters are not allowed")
    return text


Printable = AfterValidator(_printable)
"""Refuses what our own API refuses in texts; in a name, PostgreSQL would refuse NUL too."""
Spaced = AfterValidator(lambda text: _CONTROL_CHARACTER.sub(" ", text))
"""Puts a space there instead: for texts that a sender only passes on, so that no scan is lost."""
Time = Annotated[datetime, Field(strict=True), AfterValidator(_to_utc)]
"""RFC 3339, which in JSON is a string; aware UTC once it is read."""


def bad_signature() -> DomainError:
    """Make the refusal of a webhook that is not signed with our secret."""
    return DomainError("bad_signature", "the webhook is not signed with the agreed secret")


def stale_webhook() -> DomainError:
    """Make the refusal of a webhook that was signed too long ago, or by a clock that is ahead."""
    return DomainError("stale_webhook", "the webhook's timestamp is too far from now")


def read(model: type[M], body: bytes) -> M:
    """Read a body. Raises DomainError: `unreadable_webhook`, with a pointer to the first fault."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise DomainError(
            "unreadable_webhook",
            fault["msg"],
            field="".join(f"/{_escaped(str(part))}" for part in fault["loc"]),
        ) from error


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
