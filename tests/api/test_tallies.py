"""Requests are told as prometheus_client would tell them."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from api.http.tallies import RequestTallies

BOUNDS = (0.001, 0.25, 1, 10)
LABELS = ("GET", "/v1/orders/{order_id}", "2xx")


def test_tallies_are_written_as_a_counter_and_a_histogram(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1764000000.25)
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tallies = RequestTallies(BOUNDS)
    ours.register(tallies)
    names = RequestTallies.LABELS
    requests = Counter(*RequestTallies.REQUESTS, names, registry=theirs)
    duration = Histogram(*RequestTallies.DURATION, names, registry=theirs, buckets=BOUNDS)
    assert generate_latest(ours) == generate_latest(theirs)
    for labels in (LABELS, ("POST", *LABELS[1:])):
        for seconds in (0.0, 0.001, 0.0011, 0.3, 1, 9.99, 11):
            tallies.of(labels).add(seconds)
            requests.labels(*labels).inc()
            duration.labels(*labels).observe(seconds)
    assert generate_latest(ours) == generate_latest(theirs)
