"""Reads of single things that are asked for at the same time, in one round trip.

While one trip is under way, the next gathers: no timer, and nobody waits for a second caller.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

MOST_KEYS = 256

K = TypeVar("K")
V = TypeVar("V")


class Gathered(Generic[K, V]):
    """Gathers reads."""

    def __init__(
        self,
        get_all: Callable[[Sequence[K]], Awaitable[Sequence[V]]],
        *,
        most_keys: int = MOST_KEYS,
    ) -> None:
        """Take what fetches several keys in one trip, in their order; and how many at most."""
        self._get_all = get_all
        self._most_keys = most_keys
        self._waiting: list[tuple[K, asyncio.Future[V]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._trips: asyncio.Task[None] | None = None

    def get(self, key: K) -> "asyncio.Future[V]":
        """Get one key. Its future raises what `get_all` raised."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[V] = self._loop.create_future()
        self._waiting.append((key, future))
        if self._trips is None:
            self._trips = self._loop.create_task(self._travel())
        return future

    async def _travel(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = (
                    self._waiting[: self._most_keys],
                    self._waiting[self._most_keys :],
                )
                await self._trip(batch)
        finally:
            self._trips = None

    async def _trip(self, batch: "list[tuple[K, asyncio.Future[V]]]") -> None:
        try:
            values = await self._get_all([key for key, _ in batch])
        except asyncio.CancelledError:
            for _, future in (*batch, *self._waiting):
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001  # each caller gets it
            # Also those who have not travelled yet: a second wait would be as much in vain.
            batch, self._waiting = [*batch, *self._waiting], []
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), value in zip(batch, values, strict=True):
                if not future.done():
                    future.set_result(value)
