"""Hold a generation against the log, and against the one that is read now.

Rule: what two generations show alike, in each of its lists and with the newest event of the log, is
right: one was folded in one go, the other event by event. Everything else is read and folded anew:
what moved since the new one was built, as one projector then wrote both, and every order where
there is no other generation. What is compared is of equal positions: an
order that is not as the fold says, because it has moved on or is wrong, is looked at by itself: its
events are folded up to where its shard or its document has come, and no further.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from domain.ids import OrderId
from infrastructure.event_store.order_reader import UnreadableEventError
from infrastructure.rebuild.differences import NOTHING, Difference, Findings, describe
from infrastructure.rebuild.folds import filling, stretches
from infrastructure.rebuild.log import Newest, OrderLog, Range, opened
from infrastructure.rebuild.pace import Pace
from infrastructure.rebuild.parts import Parts
from infrastructure.redis import script_arguments, shard_keys, stored_document
from infrastructure.redis.script_arguments import Argument
from infrastructure.redis.shard import ShardWriter, last_good, script
from infrastructure.redis.stored_document import StoredDocument
from projections.order.document import OrderDocument

REFOLDED_AT_A_TIME = 250
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


@dataclass(frozen=True, slots=True)
class Beside:
    """The generation that is read, beside a new one.

    Attributes: apart_to: the log position to which the two were folded apart from each other.
    """

    generation: int
    apart_to: int


NOTHING_CHECKED = Checked(0, 0, NOTHING, NOTHING)


class Check:
    """Compares a generation with the log, and with another generation if one is given."""

    def __init__(self, parts: Parts, generation: int, beside: Beside | None) -> None:
        self._parts = parts
        self._generation = generation
        self._beside = beside
        self._compare = parts.client.register_script(script("compare"))
        self._agree = parts.client.register_script(script("agree"))
        self._shards = [ShardWriter(parts.client, one) for one in range(parts.partitions)]

    def check(self, of: Range, pace: Pace) -> Checked:
        """Check the orders of a range."""
        with opened(self._parts.connect) as log:
            if self._beside is None:
                return self._check_all(log, of, pace)
            return self._check_disputed(log, of, pace, self._beside)

    def _check_all(self, log: OrderLog, of: Range, pace: Pace) -> Checked:
        found = NOTHING_CHECKED
        for stretch in stretches(self._parts, log, of):
            pace.took(stretch.events)
            found += Checked(stretch.events, stretch.orders, NOTHING, NOTHING)
            found += self._check(stretch.by_shard)
        return found

    def _check_disputed(self, log: OrderLog, of: Range, pace: Pace, beside: Beside) -> Checked:
        found = NOTHING_CHECKED
        for orders in log.newest(of):
            pace.took(len(orders))  # of each only its newest position was read
            found += Checked(sum(one.events for one in orders), len(orders), NOTHING, NOTHING)
            disputed = self._disputed(orders, beside)
            for begin in range(0, len(disputed), REFOLDED_AT_A_TIME):
                found += self._check(self._fold(disputed[begin : begin + REFOLDED_AT_A_TIME]))
        return found

    def _disputed(self, orders: Sequence[Newest], beside: Beside) -> Sequence[OrderId]:
        by_shard: dict[int, list[Argument]] = defaultdict(list)
        found = [one.order_id for one in orders if one.position > beside.apart_to]
        for one in orders:
            if one.position <= beside.apart_to:
                partition = shard_keys.partition_of(one.order_id, self._parts.partitions)
                by_shard[partition] += script_arguments.encode_newest(one.order_id, one.position)
        generations = (str(self._generation), str(beside.generation))
        for partition, pairs in by_shard.items():
            ids: Any = self._agree(keys=[shard_keys.prefix(partition)], args=[*generations, *pairs])
            found += [OrderId(UUID(bytes(one).decode())) for one in ids]
        return found

    def _fold(self, order_ids: Sequence[OrderId]) -> Mapping[int, Sequence[Argument]]:
        by_shard: dict[int, list[Argument]] = defaultdict(list)
        for order_id, folded in self._parts.reader.fold_many(order_ids).items():
            partition = shard_keys.partition_of(order_id, self._parts.partitions)
            by_shard[partition] += filling(order_id, folded)
        return by_shard

    def _check(self, by_shard: Mapping[int, Sequence[Argument]]) -> Checked:
        wrong: list[Difference] = []
        changed: list[Difference] = []
        for partition, orders in by_shard.items():
            doubtful, differing = self._ask(partition, orders)
            wrong += self._problems(self._shards[partition], doubtful)
            changed += self._changes(self._shards[partition], differing)
        return Checked(0, 0, Findings.of(wrong), Findings.of(changed))

    def _ask(
        self, partition: int, orders: Sequence[Argument]
    ) -> tuple[Sequence[OrderId], Sequence[OrderId]]:
        beside = "" if self._beside is None else str(self._beside.generation)
        answer: Any = self._compare(
            keys=[shard_keys.prefix(partition)], args=[str(self._generation), beside, *orders]
        )
        wrong, differing = ([OrderId(UUID(one.decode())) for one in ids] for ids in answer)
        return wrong, differing

    def _problems(self, shard: ShardWriter, order_ids: Sequence[OrderId]) -> Sequence[Difference]:
        """Look at orders by themselves, and say what is wrong with them.

        Only lists have to be looked at more than once: an order may move on in between; and parked
        ones, whose document doesn't say which event it was parked for.
        """
        found: list[Difference] = []
        left = order_ids
        for look in range(LOOKS):
            if not left:
                break
            time.sleep(PAUSE_S * (look > 0))
            # Before the documents: these have then at least what the shard says that they have.
            position = shard.position(self._generation)
            documents = shard.read(self._generation, left)
            folds = self._fold_to(position, documents)
            again: list[OrderId] = []
            for order_id, stored in documents.items():
                problem = _document_problem(stored, folds.get(order_id))
                is_final = problem is not None and not _is_parked(stored)
                if problem is None and stored is not None:
                    is_listed = shard.is_listed(self._generation, stored.header)
                    problem = None if is_listed else "is not in each of its lists"
                if problem is not None and (is_final or look == LOOKS - 1):
                    found.append(Difference(order_id, problem))
                elif problem is not None:
                    again.append(order_id)
            left = again
        return found

    def _fold_to(
        self, position: int, documents: Mapping[OrderId, StoredDocument | None]
    ) -> Mapping[OrderId, OrderDocument | UnreadableEventError]:
        """Fold orders up to where their shard or their document has come."""
        reached = {
            order_id: max(position, 0 if stored is None else stored.position)
            for order_id, stored in documents.items()
        }
        entries = self._parts.reader.entries_of(list(documents))
        return self._parts.reader.fold_entries(
            [one for one in entries if one.order_id and one.position <= reached[one.order_id]]
        )

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
            generations = (self._beside.generation, self._generation)
            one, other = (shard.read(each, left) for each in generations)
            again: list[OrderId] = []
            for order_id in left:
                pair = one[order_id], other[order_id]
                if _moved(*pair) and look < LOOKS - 1:
                    again.append(order_id)
                elif what := _describe(*pair):
                    found.append(Difference(order_id, what))
            left = again
        return found


def _moved(one: StoredDocument | None, other: StoredDocument | None) -> bool:
    return one is not None and other is not None and one.position != other.position


def _is_parked(stored: StoredDocument | None) -> bool:
    return stored is not None and stored.header.parked


def _document_problem(
    stored: StoredDocument | None, folded: OrderDocument | UnreadableEventError | None
) -> str | None:
    """Say how an order is stored otherwise than its fold; of a parked one, its last good document.

    Where its first event can't be read, it has none, or keeps what another version has shown.
    """
    if isinstance(folded, OrderDocument):
        return _describe(stored_document.decode(stored_document.encode(folded)[0]), stored)
    if folded is None:
        return None if stored is None else "has a document, and no event"
    if stored is not None and not stored.header.parked:
        return "can't be folded, and is not marked as out of date"
    before = last_good(stored, folded)
    if before is None:
        return None
    return _describe(stored_document.decode(stored_document.encode(before, parked=True)[0]), stored)


def _describe(one: StoredDocument | None, other: StoredDocument | None) -> str | None:
    """Say how two documents differ; parked ones may in position, as forgetting moves them on."""
    if one is not None and other is not None and _is_parked(one) and _is_parked(other):
        one = replace(one, position=other.position)
    return describe(one, other)
