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
WORK_PER_FOLD = 3.0
"""Folding once is about a third of it all: a rebuild also writes, and folds again for the check."""


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
        bounds = log.bounds(head)
        began = time.perf_counter()
        sampled = 0
        for stretch in islice(stretches(parts, log, ranges([])[0]), SAMPLE_STRETCHES):
            sampled += stretch.events
        spent = time.perf_counter() - began
        seconds = head * spent / sampled * WORK_PER_FOLD / workers if sampled else 0.0
        if events_per_s is not None:
            seconds = max(seconds, 2 * head / events_per_s)  # it is read twice
        live = generations.live()
        return Estimate(
            live=live,
            next=max(generations.ledger().highest, live) + 1,
            events=head,
            orders=log.count_orders(),
            ranges=len(bounds) + 1,
            workers=workers,
            seconds=seconds,
        )
