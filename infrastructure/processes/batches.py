"""Takes what Kafka delivers into the shards of the read models, each message exactly once.

All partitions of a batch share two round trips to Redis: one reads, one writes. Each shard is
written whole or not at all, whatever becomes of the others.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import islice

import redis
import structlog
from prometheus_client import Counter, Histogram

from infrastructure.event_store.order_reader import Opened, OrderReader
from infrastructure.kafka.messages import Delivered
from infrastructure.processes.shard_projection import ShardProjection, Taken, order_of
from infrastructure.redis.shard import DocumentMovedError
from infrastructure.redis.together import Together, Wanted, Write

ATTEMPTS = 5
"""Times a batch is folded again because a document was changed meanwhile."""
CORRELATIONS_LOGGED = 20

_log = structlog.get_logger(__name__)
_applied = Counter("ordertrail_projector_events", "Events taken into documents")
_delay = Histogram(
    "ordertrail_projector_delay_seconds",
    "From recorded in the log to readable in Redis, for the newest event of a batch",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600),
)


class Batches:
    """Projects batch after batch."""

    def __init__(self, client: "redis.Redis", reader: OrderReader) -> None:
        self._together = Together(client)
        self._reader = reader

    def project(
        self, batch: Sequence[tuple[ShardProjection, Sequence[Delivered]]]
    ) -> Sequence[ShardProjection]:
        """Apply once what each shard was delivered, whole.

        Gives the shards that are not as they were read: nothing was applied to these.

        Raises:
            DocumentMovedError: the documents of a shard kept moving; others are written.
        """
        taken = [one for shard, delivered in batch if (one := shard.take(delivered))]
        left = list(zip(taken, self._open(taken), strict=True))
        moved: list[ShardProjection] = []
        for _ in range(ATTEMPTS):
            outcomes = self._together.apply(self._writes(left))
            again = []
            for pair, outcome in zip(left, outcomes, strict=True):
                if outcome is None:
                    pair[0].shard.applied(pair[0])
                elif isinstance(outcome, DocumentMovedError):
                    again.append(pair)
                else:
                    moved.append(pair[0].shard)
            left = again
            if not left:
                _tell([one for one in taken if one.shard not in moved])
                return moved
        raise DocumentMovedError(f"documents of {len(left)} shards kept moving")

    def _open(self, taken: Sequence[Taken]) -> Sequence[Sequence[Opened]]:
        """Open the events of all shards, so that the keys they need are fetched at once."""
        opened = iter(self._reader.open_each([entry for one in taken for entry in one.entries]))
        return [list(islice(opened, len(one.entries))) for one in taken]

    def _writes(self, left: Sequence[tuple[Taken, Sequence[Opened]]]) -> Iterator[Write]:
        """Read the documents as they are now, and fold over these."""
        wanted = [
            Wanted(
                one.shard.writer,
                generation,
                list(dict.fromkeys(map(order_of, one.shard.lacked(generation, one)))),
            )
            for one, _ in left
            for generation in one.shard.progress
        ]
        # Each shard takes as many as it has generations; they come in the same order.
        read = iter(self._together.read(wanted))
        for one, opened in left:
            steps = one.shard.fold(one, opened, dict(zip(one.shard.progress, read, strict=False)))
            yield Write(one.shard.writer, steps, one.position)


def _tell(taken: Sequence[Taken]) -> None:
    events = [one for each in taken for one in each.news if one.entry is not None]
    if not events:
        return
    _applied.inc(len(events))
    newest = max(each.entries[-1].recorded_at for each in taken if each.entries)
    _delay.observe(max(0.0, time.time() - newest.timestamp()))
    _log.info(
        "applied",
        partitions=[each.shard.partition for each in taken],
        events=len(events),
        first=min(one.position for one in events),
        last=max(one.position for one in events),
        correlation_ids=list(
            dict.fromkeys(one.correlation_id for one in events[:CORRELATIONS_LOGGED])
        ),
    )
