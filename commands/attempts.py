"""Decide again when a stream has moved on meanwhile: a bounded number of times."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from commands.ports import VersionConflictError
from domain.errors import DomainError

T = TypeVar("T")

ATTEMPTS = 5


async def until_unmoved(attempt: Callable[[], Awaitable[T]], *, attempts: int = ATTEMPTS) -> T:
    """Load, decide and append, and all that again on a version conflict.

    Raises:
        DomainError: `too_much_contention` after so many conflicts in a row.
    """
    for _ in range(attempts):
        try:
            return await attempt()
        except VersionConflictError:
            continue
    raise DomainError("too_much_contention", "it kept changing meanwhile; try again")
