"""Decide again when a stream has moved on meanwhile; and do several things side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
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


async def side_by_side(works: Iterable[Awaitable[T]]) -> Sequence[T]:
    """Do all of them, and give what each gave; the first error is raised once all have ended."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
