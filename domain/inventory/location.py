"""Where stock lies: a warehouse, a shop, a shelf."""

import re
from typing import NewType

from domain.errors import DomainError

Location = NewType("Location", str)
MAIN = Location("main")
"""Where stock lies that nobody has named a place for."""
_SHAPE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)


def to_location(name: str) -> Location:
    """Read a location: lower-case letters, digits and hyphens, up to 32.

    Raises:
        DomainError: `bad_location`.
    """
    if not _SHAPE.fullmatch(name):
        raise DomainError(
            "bad_location",
            "a location is up to 32 lower-case letters, digits and hyphens",
            field="/location",
        )
    return Location(name)
