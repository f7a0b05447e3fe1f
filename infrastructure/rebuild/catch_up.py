"""Bring a generation that is built but not fed up to the log, and hand it over to the projector.

Rules. What a shard's progress in the new generation says is true at every moment: it is written
with or after the documents that it counts, in the same shard. It is the live generation's
progress as it was before the log was read: whatever the projector had taken in by then, and more,
is in the log that was read. So from there the projector can feed both.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from domain.ids import OrderId
from infrastructure.event_store.order_reader import UnreadableEventError
from infrastructure.rebuild.log import OrderLog
from infrastructure.rebuild.parts import Parts
from infrastructure.redis import shard_keys
from infrastructure.redis.generations import Generations, LedgerMovedError
from infrastructure.redis.shard import (
    Change,
    DocumentMovedError,
    Parking,
    ShardMovedError,
    ShardWriter,
    Step,
)
from projections.order.document import OrderDocument

LITTLE_EVENTS = 500
MOST_ROUNDS = 50
ORDERS_AT_A_TIME = 500
STALLED_S = 60.0
BEHIND_S = 10.0
LOOK_EVERY_S = 0.05

Tell = Callable[[str, int, int], None]


class StalledError(Exception):
    """The projector does not come along."""


def live_progress(generations: Generations, live: int) -> list[str]:
    """Ask where each shard's partition is to be read on for the generation that is read."""
    return [shard.progress_of([live])[live] for shard in generations.shards]


def catch_up(
    parts: Parts, generations: Generations, log: OrderLog, generation: int, tell: Tell
) -> None:
    """Take what was appended since, in rounds, until little is left.

    Orders arrive all the while; with more of them than can be folded, fifty rounds are enough,
    and the rest is the projector's.
    """
    live = generations.live()
    for _ in range(MOST_ROUNDS):
        progress = live_progress(generations, live)
        head = log.head()
        try:
            left = _round(parts, generations, log, generation, progress=progress, head=head)
        except (ShardMovedError, DocumentMovedError):
            continue  # Redis was restarted and has lost a moment: the next round sees what it has
        tell("catching up", head, head)
        if left < LITTLE_EVENTS:
            return


def hand_over(generations: Generations, log: OrderLog, generation: int, tell: Tell) -> None:
    """Have a generation fed, and wait until it and the live one have come as far as each other.

    Both must have reached the log's head after it was first fed: what readers wrote back to the
    live one before that, the new one then has as well. A Redis that was restarted and no longer
    knows that it is fed is told again; the progress in each shard is true all the same.

    Raises:
        StalledError: nothing moved for a minute. Running it again goes on from there.
        LedgerMovedError: Redis was wiped: nobody knows what the generation has.
    """
    live = generations.live()
    position, seen, moved_at = 0, None, time.monotonic()
    while True:
        if not generations.is_fed(generation):
            _require_planned(generations, generation)
            for shard in generations.shards:
                shard.join(generation)
            position = 0
        position = position or log.head()
        reached = [_reached(shard, live, generation) for shard in generations.shards]
        shown = min(at for at, _ in reached)
        tell("handing over", min(shown, position), position)
        if all(level for _, level in reached) and shown >= position:
            return
        if reached != seen:
            seen, moved_at = reached, time.monotonic()
        elif time.monotonic() - moved_at > STALLED_S:
            raise StalledError(
                f"the views stand at {shown} of {position}: is the projector running?"
                " Go on with --resume"
            )
        time.sleep(LOOK_EVERY_S)


def _require_planned(generations: Generations, generation: int) -> None:
    plan = generations.ledger().next
    if plan is None or plan.generation != generation:
        raise LedgerMovedError(
            f"Redis no longer knows of generation {generation}: it was wiped, so begin again"
        )


def await_head(generations: Generations, log: OrderLog, generation: int) -> None:
    """Wait until all shards of a generation that is fed have come as far as the log is now.

    Raises:
        StalledError: nothing moved for ten seconds; of what lies beyond, nothing can be said.
    """
    head = log.head()
    seen, moved_at = -1, time.monotonic()
    while (shown := min(shard.position(generation) for shard in generations.shards)) < head:
        if shown != seen:
            seen, moved_at = shown, time.monotonic()
        elif time.monotonic() - moved_at > BEHIND_S:
            raise StalledError(
                f"the views stand at {shown} of {head}, so they can't be compared with the log:"
                " is the projector running?"
            )
        time.sleep(LOOK_EVERY_S)


def _reached(shard: ShardWriter, live: int, generation: int) -> tuple[int, bool]:
    """Give the position that both generations have reached, and whether they are level."""
    progress = shard.progress_of([live, generation])
    position = min(shard.position(live), shard.position(generation))
    return position, progress[live] == progress[generation]


def _round(
    parts: Parts,
    generations: Generations,
    log: OrderLog,
    generation: int,
    *,
    progress: Sequence[str],
    head: int,
) -> int:
    """Fold every order that has moved since, and give how many events that was about."""
    begun = min(shard.position(generation) for shard in generations.shards)
    moved: dict[int, list[OrderId]] = defaultdict(list)
    for order_id in log.orders_after(begun, to=head):
        moved[shard_keys.partition_of(order_id, parts.partitions)].append(order_id)
    for partition, shard in enumerate(generations.shards):
        orders = moved[partition]
        for start in range(0, len(orders), ORDERS_AT_A_TIME):
            ids = orders[start : start + ORDERS_AT_A_TIME]
            shard.apply_unfed(Step(generation, _changes(parts, shard, generation, ids)))
        before = shard.progress_of([generation])[generation]
        step = Step(generation, [], before, progress[partition])
        shard.apply_unfed(step, position=head)
    return head - begun


def _changes(
    parts: Parts, shard: ShardWriter, generation: int, order_ids: Sequence[OrderId]
) -> Sequence[Change | Parking]:
    read = shard.read(generation, order_ids)
    changes: list[Change | Parking] = []
    for order_id, folded in parts.reader.fold_many(order_ids).items():
        stored = read[order_id]
        if isinstance(folded, UnreadableEventError):
            changes.append(Parking.of(order_id, stored, folded))
        elif isinstance(folded, OrderDocument):
            changes.append(Change(stored, folded))
    return changes
