"""What a rebuild would do, and how long it would take: a sample is folded, nothing is written."""

import time
from dataclasses import dataclass
from itertools import islice

from infrastructure.rebuild.folds import stretches
from infrastructure.rebuild.log import opened, ranges
from infrastructure.rebuild.parts import Parts
from infrastructure.redis.generations import Generations
from projections.order.document import PROJECTION_VERSION

SAMPLE_STRETCHES = 2
WORK_PER_FOLD = 2.0
"""Folding is about half of it all: a rebuild also writes, and compares; with a changed projection
it folds once more for that."""


@dataclass(frozen=True, slots=True)
class Estimate:
    live: int
    next: int
    events: int
    orders: int
    ranges: int
    workers: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"generation {self.next} would be built beside generation {self.live}, by version"
            f" {PROJECTION_VERSION} of the projection: {self.events:,} events of"
            f" {self.orders:,} orders (ranges: {self.ranges}, workers: {self.workers})"
            f" in about {self.seconds:,.0f} s with the check; nothing was done"
        )


def estimate(parts: Parts, workers: int, events_per_s: float | None) -> Estimate:
    """Fold the first orders, and reckon from that."""
    generations = Generations(parts.client, parts.partitions)
    with opened(parts.connect) as log:
        head = log.head()
        bounds, orders, live = log.bounds(head), log.count_orders(), generations.live()
        began = time.perf_counter()
        sampled = 0
        for stretch in islice(stretches(parts, log, ranges([])[0]), SAMPLE_STRETCHES):
            sampled += stretch.events
        spent = time.perf_counter() - began
        seconds = head * spent / sampled * WORK_PER_FOLD / workers if sampled else 0.0
        if events_per_s is not None:
            # Of each order the check reads the newest position, and counts it as an event.
            seconds = max(seconds, (head + orders) / events_per_s)
        return Estimate(
            live=live,
            next=max(generations.ledger().highest, live) + 1,
            events=head,
            orders=orders,
            ranges=len(bounds) + 1,
            workers=workers,
            seconds=seconds,
        )
