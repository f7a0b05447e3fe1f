"""Turns at one stream: commands of one process on the same stream wait for each other.

Decided side by side, all but one would find that the stream has moved, and decide again in vain.
Between processes that still happens, so a version conflict is tried again all the same.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.errors import DomainError
from domain.ids import StreamId

PATIENCE_S = 5.0


class Turns:
    """First come, first served, by stream. It keeps nothing of a stream that nobody waits for."""

    def __init__(self) -> None:
        self._locks: dict[StreamId, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, stream: StreamId) -> AsyncIterator[None]:
        """Have the stream to oneself, in this process, for as long as the block lasts.

        Raises:
            DomainError: `too_much_contention`, after PATIENCE_S without a turn.
        """
        lock, waiting = self._locks.get(stream, (asyncio.Lock(), 0))
        self._locks[stream] = (lock, waiting + 1)
        try:
            await _acquire(lock)
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, waiting = self._locks[stream]
            if waiting == 1:
                del self._locks[stream]
            else:
                self._locks[stream] = (lock, waiting - 1)


async def _acquire(lock: asyncio.Lock) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await lock.acquire()
    except TimeoutError:
        raise DomainError(
            "too_much_contention", "too many wait to change this at once; try again"
        ) from None
