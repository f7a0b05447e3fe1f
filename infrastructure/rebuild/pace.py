"""Holds a rebuild to a rate, for it shares everything with everybody; and ends it when told to."""

import time
from multiprocessing.synchronize import Event


class StoppedError(Exception):
    """Whoever began this no longer waits for it."""


class Pace:
    """At most so many events a second since the beginning; None: as fast as it goes."""

    def __init__(self, stopping: Event, events_per_s: float | None) -> None:
        self._stopping = stopping
        self._events_per_s = events_per_s
        self._began = time.monotonic()
        self._events = 0

    def took(self, events: int) -> None:
        """Count events, and wait until they are due. Raises StoppedError."""
        due_s = 0.0
        if self._events_per_s is not None:
            self._events += events
            due_s = self._began + self._events / self._events_per_s - time.monotonic()
        if self._stopping.wait(max(0.0, due_s)):
            raise StoppedError
