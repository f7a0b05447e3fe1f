"""Build one range of orders into the next generation: read, fold, and write in bulk.

Rule: a stretch's documents, list entries and checkpoint are written by one script per shard, and
only where the shard was left. So a second builder writes nothing, and a Redis that was restarted
and lost its last second is noticed; the range goes on from what Redis has.
"""

from collections.abc import Sequence
from typing import Any

from infrastructure.rebuild.folds import stretches
from infrastructure.rebuild.log import Range, opened
from infrastructure.rebuild.pace import Pace
from infrastructure.rebuild.parts import Parts, outlasting_redis
from infrastructure.redis import shard_keys
from infrastructure.redis.script_arguments import Argument
from infrastructure.redis.shard import script

ATTEMPTS = 20
DONE = "~"
"""The checkpoint of a range that is done: above every order id."""


class CheckpointMovedError(Exception):
    """A shard was left elsewhere than the builder thinks."""


def fill(parts: Parts, generation: int, of: Range, pace: Pace) -> int:
    """Build a range, from where it was left; give how many events were read.

    Raises:
        CheckpointMovedError: Redis kept losing what it had confirmed, or another one builds too.
    """
    for _ in range(ATTEMPTS):
        try:
            return outlasting_redis(lambda: _Filling(parts, generation, of, pace).run())
        except CheckpointMovedError:
            continue
    raise CheckpointMovedError(f"range {of.number} of generation {generation} kept moving")


def built_to(parts: Parts, generation: int, of: Range) -> dict[int, str]:
    """Give the last order that is done of a range, by shard; '' where it is not begun."""
    values: dict[int, Any] = {
        partition: parts.client.hget(shard_keys.built_key(partition, generation), str(of.number))
        for partition in range(parts.partitions)
    }
    return {partition: bytes(value or b"").decode() for partition, value in values.items()}


class _Filling:
    def __init__(self, parts: Parts, generation: int, of: Range, pace: Pace) -> None:
        self._parts = parts
        self._generation = generation
        self._range = of
        self._pace = pace
        self._fill = parts.client.register_script(script("fill"))
        self._built = built_to(parts, generation, of)

    def run(self) -> int:
        events = 0
        if min(self._built.values()) == DONE:
            return 0
        with opened(self._parts.connect) as log:
            for stretch in stretches(self._parts, log, self._range, done=self._built):
                for partition, orders in stretch.by_shard.items():
                    self._write_shard(partition, stretch.last, orders)
                events += stretch.events
                self._pace.took(stretch.events)
        for partition in self._built:
            self._write_shard(partition, DONE, [])
        return events

    def _write_shard(self, partition: int, last: str, orders: Sequence[Argument]) -> None:
        before = self._built[partition]
        if before == DONE:
            return
        moved: Any = self._fill(
            keys=[
                shard_keys.built_key(partition, self._generation),
                shard_keys.generation_prefix(partition, self._generation),
            ],
            args=[str(self._range.number), before, last, *orders],
        )
        if moved is not None:
            raise CheckpointMovedError(bytes(moved).decode())
        self._built[partition] = last
