"""Reads of the event store on threads: so many at one time, and none waited for without end.

A database that hangs answers nothing and breaks no connection. Its caller is told so after a
while; the thread that asked stays with it, and counts as busy, until the database is back.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from domain.errors import UnavailableError
from infrastructure.event_store.order_reader import UnreadableEventError
from projections.ports import OrderParkedError, TooManyFoldsError

WITHIN_S = 5.0

T = TypeVar("T")


class BoundedReads:
    """Runs reads on threads of its own. `busy`: how many are under way or wait."""

    def __init__(self, name: str, *, at_once: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=name)
        self._most = at_once + waiting
        self.busy = 0
        self._lock = threading.Lock()

    async def run(self, read: Callable[[], T]) -> T:
        """Run one read.

        Raises:
            TooManyFoldsError: as many as are allowed are under way or wait.
            UnavailableError: the event store can't be reached, or did not answer in WITHIN_S.
            OrderParkedError: an event of the order can't be read or applied.
        """
        with self._lock:
            if self.busy >= self._most:
                raise TooManyFoldsError
            self.busy += 1
        running = self._threads.submit(read)
        running.add_done_callback(self._done)
        try:
            async with asyncio.timeout(WITHIN_S):
                return await asyncio.wrap_future(running)
        except TimeoutError as error:
            raise UnavailableError("postgres", f"no answer in {WITHIN_S:.0f} s") from error
        except UnreadableEventError as error:
            raise OrderParkedError(str(error)) from error

    def _done(self, _: "Future[T]") -> None:
        with self._lock:
            self.busy -= 1
