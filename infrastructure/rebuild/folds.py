"""A range of the log, folded to what a generation is to hold of its orders, stretch by stretch.

Building and checking both begin here, each with a reading of its own. Rule: memory is bounded by
a stretch and its longest order, however long the log is. Few orders are folded at a time, so that
what is made of them stays in the processor's cache; more of them go to Redis in one call.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from domain.ids import OrderId
from infrastructure.event_store.order_reader import UnreadableEventError
from infrastructure.rebuild.log import OrderLog, Range
from infrastructure.rebuild.parts import Parts
from infrastructure.redis import script_arguments, shard_keys
from infrastructure.redis.script_arguments import Argument
from infrastructure.redis.shard import note_on
from projections.order.document import OrderDocument

EVENTS_A_STRETCH = 4_000


@dataclass(slots=True)
class Stretch:
    """Neighboring orders, folded.

    Attributes:
        by_shard: arguments of fill.lua and compare.lua; empty for a shard that has no order here.
        events, orders: how many were read.
        last: the id of the last order.
    """

    by_shard: dict[int, list[Argument]] = field(default_factory=lambda: defaultdict(list))
    events: int = 0
    orders: int = 0
    last: str = ""


def stretches(
    parts: Parts, log: OrderLog, of: Range, *, done: Mapping[int, str] | None = None
) -> Iterator[Stretch]:
    """Read and fold a range; `done`: the order that each shard is to go on after."""
    done = done or {}
    stretch = Stretch()
    for entries in log.orders(of, after=min(done.values(), default="")):
        folds = parts.reader.fold_entries(entries)
        for order_id, folded in folds.items():
            partition = shard_keys.partition_of(order_id, parts.partitions)
            arguments = filling(order_id, folded)
            stretch.last = str(arguments[0])
            if stretch.last > done.get(partition, ""):
                stretch.by_shard[partition] += arguments
        stretch.events += len(entries)
        stretch.orders += len(folds)
        if stretch.events >= EVENTS_A_STRETCH:
            yield stretch
            stretch = Stretch()
    if stretch.events:
        yield stretch


def filling(
    order_id: OrderId, folded: OrderDocument | UnreadableEventError | None
) -> list[Argument]:
    """Write what a generation is to hold of an order; one that can't be folded is parked."""
    if not isinstance(folded, UnreadableEventError):
        return script_arguments.encode_filling(order_id, folded, None)
    return script_arguments.encode_filling(order_id, folded.before, note_on(folded))
