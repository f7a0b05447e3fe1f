"""How many requests, and how long they took: counted cheaply, written out when somebody asks.

Rule: what is exposed is what prometheus_client's Counter and Histogram would expose. They take a
lock for each of three values of each request; a process answers in one thread, so these need none.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_written: Callable[[float], Any] = floatToGoString


class Tally:
    """Durations of one kind of request."""

    __slots__ = ("_bounds", "_counts", "created_at", "total_s")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total_s = 0.0
        self.created_at = time.time()

    def add(self, duration_s: float) -> None:
        self._counts[bisect_left(self._bounds, duration_s)] += 1
        self.total_s += duration_s

    def cumulated(self) -> Sequence[tuple[str, float]]:
        """Give for each bound how many were no longer; the last is infinity, and has all."""
        found, so_far = [], 0
        for bound, count in zip((*self._bounds, math.inf), self._counts, strict=True):
            so_far += count
            found.append((_written(bound), float(so_far)))
        return found


class RequestTallies(Collector):
    """Tallies by method, route and status class; as bounded as these are."""

    LABELS = ("method", "route", "status_class")
    REQUESTS = ("ordertrail_http_requests", "Requests answered")
    DURATION = (
        "ordertrail_http_request_duration_seconds",
        "Time from the request's head to the response's end",
    )

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds_s = tuple(bounds_s)
        self._tallies: dict[tuple[str, str, str], Tally] = {}

    def of(self, labels: tuple[str, str, str]) -> Tally:
        found = self._tallies.get(labels)
        if found is None:
            found = self._tallies[labels] = Tally(self._bounds_s)
        return found

    def describe(self) -> Iterable[Metric]:
        """Name the metrics, so that a second one of a name is refused."""
        return self._families({})

    def collect(self) -> Iterable[Metric]:
        return self._families(self._tallies)

    def _families(self, tallies: Mapping[tuple[str, str, str], Tally]) -> Iterable[Metric]:
        requests = CounterMetricFamily(*self.REQUESTS, labels=self.LABELS)
        duration = HistogramMetricFamily(*self.DURATION, labels=self.LABELS)
        for labels, tally in tallies.items():
            buckets = tally.cumulated()
            requests.add_metric(labels, buckets[-1][1], created=tally.created_at)
            duration.add_metric(labels, buckets, tally.total_s)
            named = dict(zip(self.LABELS, labels, strict=True))
            duration.add_sample(f"{duration.name}_created", named, tally.created_at)
        return [requests, duration]
