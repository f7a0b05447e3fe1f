"""Lag as Prometheus gauges, brought up to date when they are asked for.

Rule: whoever asks for measurements gets them soon, whatever hangs: a measurement that takes
long goes on in its own thread, and until it ends lag is shown as not known.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from infrastructure.observability.lag import HopLag, unknown

KEEP_S = 1.0
WAIT_S = 3.0
Measure = Callable[[], Sequence[HopLag]]


class LagGauges:
    """The gauges of one process."""

    def __init__(self, measure: Measure, registry: CollectorRegistry = REGISTRY) -> None:
        """Register the gauges. `measure` may block; it is called in one thread at a time."""
        self._measure = measure
        self._events = Gauge(
            "ordertrail_lag_events", "Events of the log not processed", ["hop"], registry=registry
        )
        self._seconds = Gauge(
            "ordertrail_lag_seconds",
            "Age of the oldest event not processed; 0 if there is none",
            ["hop"],
            registry=registry,
        )
        self._known = Gauge(
            "ordertrail_lag_known",
            "1: asked just now; 0: a part does not answer, lag is at most what is shown, or NaN",
            ["hop"],
            registry=registry,
        )
        self._lock = asyncio.Lock()
        self._running: asyncio.Future[Sequence[HopLag]] | None = None
        self._measured_at = -math.inf
        self._show(unknown("not asked yet"))

    async def refresh(self) -> None:
        """Measure, unless that was done less than `KEEP_S` ago; wait for `WAIT_S` at most."""
        async with self._lock:
            if time.monotonic() - self._measured_at < KEEP_S:
                return
            if self._running is None:
                self._running = asyncio.wrap_future(_in_thread(self._measure))
            done, _ = await asyncio.wait({self._running}, timeout=WAIT_S)
            self._measured_at = time.monotonic()
            if not done:
                self._show(unknown("a part hangs"))
                return
            ended, self._running = self._running, None
            self._show(ended.result())

    def _show(self, hops: Sequence[HopLag]) -> None:
        for lag in hops:
            self._events.labels(lag.hop).set(math.nan if lag.events is None else lag.events)
            self._seconds.labels(lag.hop).set(math.nan if lag.seconds is None else lag.seconds)
            self._known.labels(lag.hop).set(lag.problem is None)


def _in_thread(measure: Measure) -> Future[Sequence[HopLag]]:
    """Run in a daemon thread: one that hangs must not hold up the end of the process."""
    future: Future[Sequence[HopLag]] = Future()

    def run() -> None:
        try:
            result = measure()
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name="lag", daemon=True).start()
    return future
