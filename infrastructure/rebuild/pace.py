"""Holds a rebuild to a rate, for it shares everything with everybody; and ends it when told to."""

import multiprocessing
import time
from ctypes import c_bool

LOOK_EVERY_S = 0.2


class StoppedError(Exception):
    """Whoever began this no longer waits for it."""


class Stop:
    """One process tells others to stop. Without a lock: a killed one would never give it back."""

    def __init__(self) -> None:
        self._flag = multiprocessing.get_context("spawn").RawValue(c_bool)

    def set(self) -> None:
        self._flag.value = True

    def is_set(self) -> bool:
        return bool(self._flag.value)


class Pace:
    """At most so many events a second since the beginning; None: as fast as it goes."""

    def __init__(self, stop: Stop, events_per_s: float | None) -> None:
        self._stop = stop
        self._events_per_s = events_per_s
        self._began = time.monotonic()
        self._events = 0

    def took(self, events: int) -> None:
        """Count events, and wait until they are due. Raises StoppedError."""
        due_at = self._began
        if self._events_per_s is not None:
            self._events += events
            due_at += self._events / self._events_per_s
        while not self._stop.is_set():
            left_s = due_at - time.monotonic()
            if self._events_per_s is None or left_s <= 0:
                return
            time.sleep(min(left_s, LOOK_EVERY_S))
        raise StoppedError
