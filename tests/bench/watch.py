"""How fast a worker gets through what is there: its durable progress, looked at from outside.

Rule: what is timed begins with the first progress that is seen, so starting up is no part of it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_EVERY_S = 0.01
WITHIN_S = 300.0


class Watch:
    """Looks at a count that rises to `goal`, in a thread of its own."""

    def __init__(self, look: Callable[[], int], goal: int) -> None:
        self._look = look
        self._goal = goal
        self._ended = threading.Event()
        self._leave = threading.Event()
        self._per_s = 0.0

    def run(self) -> None:
        first, first_at = 0, 0.0
        while not self._leave.wait(LOOK_EVERY_S):
            done = self._look()
            if not first:
                first, first_at = done, time.perf_counter()
            if done >= self._goal:
                self._per_s = (done - first) / (time.perf_counter() - first_at)
                break
        self._ended.set()

    def per_second(self) -> float:
        """Wait for the goal; give the rate at which it was come to from the first progress on."""
        if not self._ended.wait(WITHIN_S):
            raise TimeoutError(f"{self._goal} was not reached in {WITHIN_S:.0f} s")
        return self._per_s

    def leave(self) -> None:
        self._leave.set()


@contextmanager
def watching(look: Callable[[], int], goal: int) -> Iterator[Watch]:
    watch = Watch(look, goal)
    thread = threading.Thread(target=watch.run, name="watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.leave()
        thread.join()
