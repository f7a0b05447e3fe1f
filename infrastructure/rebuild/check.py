"""Hold a generation against the log: a second reading, folded apart from the one that built it.

Rule: what is compared is of equal positions. A stretch is folded and compared in Redis; an order
that is not as the fold says, because it has moved on or is wrong, is looked at by itself: its
events are folded up to where its shard or its document has come, and no further.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.ids import OrderId
from infrastructure.event_store.order_reader import UnreadableEventError
from infrastructure.rebuild.differences import NOTHING, Difference, Findings, describe
from infrastructure.rebuild.folds import Stretch, filling, stretches
from infrastructure.rebuild.log import Range, opened
from infrastructure.rebuild.pace import Pace
from infrastructure.rebuild.parts import Parts
from infrastructure.redis import layout
from infrastructure.redis.layout import Argument, StoredDocument
from infrastructure.redis.shard import ShardWriter, script
from projections.order.document import OrderDocument

LOOKS = 10
PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check has found.

    Attributes:
        wrong: orders that are not as the log says.
        changed: orders that the other generation shows otherwise.
    """

    events: int
    orders: int
    wrong: Findings
    changed: Findings

    def __add__(self, other: "Checked") -> "Checked":
        return Checked(
            self.events + other.events,
            self.orders + other.orders,
            self.wrong + other.wrong,
            self.changed + other.changed,
        )


NOTHING_CHECKED = Checked(0, 0, NOTHING, NOTHING)


class Check:
    """Compares a generation with the log, and with another generation if one is given."""

    def __init__(self, parts: Parts, generation: int, beside: int | None) -> None:
        self._parts = parts
        self._generation = generation
        self._beside = beside
        self._compare = parts.client.register_script(script("compare"))
        self._shards = [ShardWriter(parts.client, one) for one in range(parts.partitions)]

    def check(self, of: Range, pace: Pace) -> Checked:
        """Check the orders of a range."""
        found = NOTHING_CHECKED
        with opened(self._parts.connect) as log:
            for stretch in stretches(self._parts, log, of):
                pace.took(stretch.events)
                found += self._check(stretch)
        return found

    def _check(self, stretch: Stretch) -> Checked:
        wrong: list[Difference] = []
        changed: list[Difference] = []
        for partition, orders in stretch.by_shard.items():
            doubtful, differing = self._ask(partition, orders)
            for order_id in doubtful:
                problem = self._problem(self._shards[partition], partition, order_id)
                if problem is not None:
                    wrong.append(Difference(order_id, problem))
            changed += self._changes(self._shards[partition], differing)
        return Checked(stretch.events, stretch.orders, Findings.of(wrong), Findings.of(changed))

    def _ask(
        self, partition: int, orders: Sequence[Argument]
    ) -> tuple[Sequence[OrderId], Sequence[OrderId]]:
        beside = "" if self._beside is None else str(self._beside)
        answer: Any = self._compare(
            keys=[layout.prefix(partition)], args=[str(self._generation), beside, *orders]
        )
        wrong, differing = ([OrderId(UUID(one.decode())) for one in ids] for ids in answer)
        return wrong, differing

    def _problem(self, shard: ShardWriter, partition: int, order_id: OrderId) -> str | None:
        """Look at one order by itself, and say what is wrong with it.

        Only its lists have to be looked at more than once: it may move on in between.
        """
        for look in range(LOOKS):
            time.sleep(PAUSE_S * (look > 0))
            # Before the document: that has then at least what the shard says that it has.
            reached = shard.position(self._generation)
            stored = shard.read(self._generation, [order_id])[order_id]
            if stored is not None:
                reached = max(reached, stored.position)
            entries = [
                entry
                for entry in self._parts.reader.entries_of([order_id])
                if entry.position <= reached
            ]
            folded = self._parts.reader.fold_entries(entries).get(order_id)
            problem = _document_problem(stored, folded)
            if problem is not None or not isinstance(folded, OrderDocument):
                return problem
            doubtful, _ = self._ask(partition, filling(order_id, folded))
            if not doubtful:
                return None
        return "is not in each of its lists"

    def _changes(self, shard: ShardWriter, order_ids: Sequence[OrderId]) -> Sequence[Difference]:
        """Say how the other generation shows orders otherwise, if it still does.

        Both are of one moment, for they move together; one that moved between the two readings
        is looked at again.
        """
        found: list[Difference] = []
        left = order_ids
        for look in range(LOOKS):
            if self._beside is None or not left:
                break
            one, other = (shard.read(each, left) for each in (self._beside, self._generation))
            again: list[OrderId] = []
            for order_id in left:
                pair = one[order_id], other[order_id]
                if _moved(*pair) and look < LOOKS - 1:
                    again.append(order_id)
                elif what := describe(*pair):
                    found.append(Difference(order_id, what))
            left = again
        return found


def _moved(one: StoredDocument | None, other: StoredDocument | None) -> bool:
    return one is not None and other is not None and one.position != other.position


def _document_problem(
    stored: StoredDocument | None, folded: OrderDocument | UnreadableEventError | None
) -> str | None:
    if isinstance(folded, UnreadableEventError):
        marked = stored is None or stored.header.parked
        return None if marked else "can't be folded, and is not marked as out of date"
    if folded is None:
        return None if stored is None else "has a document, and no event"
    return describe(layout.decode(layout.encode(folded)[0]), stored)
