"""Orders set aside because one of their events can't be applied: list, retry, discard.

A retry folds the order from the event store, so there is no side queue to keep in order. A
discarded note comes back with the order's next event or retry, as long as it can't be folded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import redis

from domain.ids import OrderId
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.redis import shard_keys
from infrastructure.redis.generations import Generations
from infrastructure.redis.refold import Refolded, refold
from infrastructure.redis.shard import ShardWriter
from infrastructure.redis.stored_document import ParkedNote


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An order, and why it is parked."""

    order_id: OrderId
    note: ParkedNote


class DeadLetters:
    """The parked orders of all shards."""

    def __init__(self, client: "redis.Redis", partitions: int) -> None:
        self._generations = Generations(client, partitions)

    def all(self) -> Iterator[DeadLetter]:
        """List them, shard by shard."""
        live = self._generations.live()
        for shard in self._generations.shards:
            for order_id, note in shard.parked(live).items():
                yield DeadLetter(order_id, note)

    def find(self, order_id: OrderId) -> DeadLetter | None:
        note = self._shard(order_id).parked(self._generations.live()).get(order_id)
        return None if note is None else DeadLetter(order_id, note)

    def retry(
        self, reader: OrderReader, order_ids: Sequence[OrderId]
    ) -> Mapping[OrderId, Refolded]:
        """Fold orders from the event store; give what each was found to be.

        Of one that is UNKNOWN to the log the note stays: somebody else has put it there.

        Raises:
            UnavailableError: the event store can't be reached; running it again is safe.
        """
        return {one: refold(reader, self._shard(one), one) for one in order_ids}

    def discard(self, order_ids: Sequence[OrderId]) -> int:
        """Take notes away; give how many there were. The documents stay marked as out of date."""
        return sum(self._shard(order_id).discard_note(order_id) for order_id in order_ids)

    def _shard(self, order_id: OrderId) -> ShardWriter:
        shards = self._generations.shards
        return shards[shard_keys.partition_of(order_id, len(shards))]
