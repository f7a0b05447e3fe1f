"""The processes that fold and write: each has its own connections, and takes range after range.

Rule: they end with the process that started them, also where that is killed: a builder that
nobody watches would write on beside the one that resumes.
"""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias, TypeVar

from infrastructure.rebuild.check import Beside, Check, Checked
from infrastructure.rebuild.differences import Findings
from infrastructure.rebuild.fill import fill
from infrastructure.rebuild.log import Range
from infrastructure.rebuild.pace import Pace, Stop
from infrastructure.rebuild.parts import Parts, outlasting_redis
from infrastructure.rebuild.strays import ghosts, strays

T = TypeVar("T")

NICE = 10
"""How far a worker stands back from the live services; with the cores idle it costs nothing."""

OpenParts: TypeAlias = Callable[[], Parts]


@dataclass(frozen=True, slots=True)
class Filled:
    """Attributes: events: that were read; peak_kb: the most memory that the worker has used."""

    events: int
    peak_kb: int


class Workers:
    """So many processes. Use as a context manager: leaving it ends them."""

    def __init__(
        self, open_parts: OpenParts, *, processes: int, events_per_s: float | None = None
    ) -> None:
        """Take what a process calls first, to connect; it must be picklable."""
        share = None if events_per_s is None else events_per_s / processes
        # A forked process would share connections and locks with this one.
        context = multiprocessing.get_context("spawn")
        self._stop = Stop()
        self._pool = ProcessPoolExecutor(
            processes,
            mp_context=context,
            initializer=_begin,
            initargs=(open_parts, self._stop, share),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()  # the ranges that are under way end with their next chunk
        self._pool.shutdown(wait=True, cancel_futures=True)

    def fill(self, generation: int, ranges: Sequence[Range]) -> Iterator[Filled]:
        """Build ranges; give each one's outcome as it is done."""
        return self._each([self._pool.submit(_fill, generation, one) for one in ranges])

    def check(
        self, generation: int, beside: Beside | None, ranges: Sequence[Range]
    ) -> Iterator[Checked]:
        """Check ranges; give each one's outcome as it is done."""
        return self._each([self._pool.submit(_check, generation, beside, one) for one in ranges])

    def strays(self, generation: int, beside: Beside | None) -> "Future[Findings]":
        """Begin to look for what no order explains."""
        return self._pool.submit(_strays, generation, beside)

    def ghosts(self, generation: int, beside: int) -> "Future[Findings]":
        """Begin to look for documents that are read now and that nothing stands behind."""
        return self._pool.submit(_ghosts, generation, beside)

    def _each(self, futures: "Sequence[Future[T]]") -> Iterator[T]:
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


@dataclass(slots=True)
class _Worker:
    """What this process has."""

    parts: Parts
    pace: Pace


_workers: list[_Worker] = []


def _begin(open_parts: OpenParts, stop: Stop, events_per_s: float | None) -> None:
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started this
    parent = multiprocessing.parent_process()
    if parent is not None:

        def end_with_it() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=end_with_it, daemon=True).start()
    # A fold makes no cycles: looking for them again and again would be a quarter of the time.
    gc.freeze()
    gc.set_threshold(1_000_000, 10, 10)
    _workers[:] = [_Worker(open_parts(), Pace(stop, events_per_s))]


def _fill(generation: int, of: Range) -> Filled:
    events = fill(_workers[0].parts, generation, of, _workers[0].pace)
    return Filled(events, _peak_kb())


def _peak_kb() -> int:
    """Give the most memory of this process, in KB. getrusage would count its parent's, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _check(generation: int, beside: Beside | None, of: Range) -> Checked:
    worker = _workers[0]
    check = Check(worker.parts, generation, beside)
    return outlasting_redis(lambda: check.check(of, worker.pace))


def _strays(generation: int, beside: Beside | None) -> Findings:
    parts = _workers[0].parts
    return outlasting_redis(lambda: strays(parts, generation, beside))


def _ghosts(generation: int, beside: int) -> Findings:
    parts = _workers[0].parts
    return outlasting_redis(lambda: ghosts(parts, generation, beside))
