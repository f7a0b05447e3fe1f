"""Lag as Prometheus gauges, brought up to date when they are asked for.

Rule: whoever asks for measurements gets them soon, whatever hangs: a measurement that takes
long goes on in its own thread, and until it ends lag is shown as not known.
"""

import asyncio
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from infrastructure.observability import lag, service_lag
from infrastructure.observability.lag import HopLag
from infrastructure.observability.service_lag import FAILING_TRIES, Services

T = TypeVar("T")

KEEP_S = 1.0
WAIT_S = 3.0


class _Gauges(ABC, Generic[T]):
    """Gauges of one process that are measured together."""

    def __init__(self, measure: Callable[[], T]) -> None:
        """Take what measures; it may block, and is called in one thread at a time."""
        self._measure = measure
        self._lock = asyncio.Lock()
        self._running: asyncio.Future[T] | None = None
        self._measured_at = -math.inf
        self._show_unknown("not asked yet")

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
                self._show_unknown("a part hangs")
                return
            ended, self._running = self._running, None
            self._show(ended.result())

    @abstractmethod
    def _show(self, measured: T) -> None:
        """Set the gauges."""

    @abstractmethod
    def _show_unknown(self, problem: str) -> None:
        """Set them to not known."""


class LagGauges(_Gauges[Sequence[HopLag]]):
    """How far Kafka and Redis are behind the log."""

    def __init__(
        self, measure: Callable[[], Sequence[HopLag]], registry: CollectorRegistry = REGISTRY
    ) -> None:
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
            "1: asked just now; 0: a part does not answer, lag is at most that, NaN: unknown",
            ["hop"],
            registry=registry,
        )
        super().__init__(measure)

    def _show(self, measured: Sequence[HopLag]) -> None:
        for hop in measured:
            self._events.labels(hop.hop).set(_or_nan(hop.events))
            self._seconds.labels(hop.hop).set(_or_nan(hop.seconds))
            self._known.labels(hop.hop).set(hop.problem is None)

    def _show_unknown(self, problem: str) -> None:
        self._show(lag.unknown(problem))


class ServiceGauges(_Gauges[Services]):
    """How far the services are behind, and their tasks."""

    def __init__(
        self, measure: Callable[[], Services], registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._messages = Gauge(
            "ordertrail_service_lag_messages",
            "Messages of Kafka not taken yet; NaN: not known",
            ["service"],
            registry=registry,
        )
        self._due, self._seconds, self._failing = (
            Gauge(
                f"ordertrail_tasks_{name}", f"{what}; NaN: not known", ["queue"], registry=registry
            )
            for name, what in (
                ("due", "Tasks that somebody should be at"),
                ("due_seconds", "Since when the oldest task is due; 0 if there is none"),
                ("failing", f"Tasks tried in vain {FAILING_TRIES} times or more"),
            )
        )
        super().__init__(measure)

    def _show(self, measured: Services) -> None:
        for one in measured.lags:
            self._messages.labels(one.service).set(_or_nan(one.messages))
        for queue in measured.queues:
            self._due.labels(queue.queue).set(_or_nan(queue.due))
            self._seconds.labels(queue.queue).set(_or_nan(queue.seconds))
            self._failing.labels(queue.queue).set(_or_nan(queue.failing))

    def _show_unknown(self, problem: str) -> None:
        self._show(service_lag.unknown(problem))


def _or_nan(number: float | None) -> float:
    return math.nan if number is None else number


def _in_thread(measure: Callable[[], T]) -> Future[T]:
    """Run in a daemon thread: one that hangs must not hold up the end of the process."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = measure()
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name="lag", daemon=True).start()
    return future
