"""Fold one order from the event store and write it over what every fed generation has of it.

What is in Redis is read before the log is asked: so a document that is further than its fold is of
events that the log hasn't, as after a restore, and is written over; and one that no event stands
behind is removed. What the projector writes in between is not written over.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

from domain.ids import OrderId
from infrastructure.event_store.order_reader import OrderReader, UnreadableEventError
from infrastructure.redis import shard_keys, stored_document
from infrastructure.redis.shard import (
    Change,
    DocumentMovedError,
    FedChangedError,
    Parking,
    ShardWriter,
    Step,
)
from infrastructure.redis.stored_document import StoredDocument
from projections.order.document import OrderDocument

ATTEMPTS = 5


class Refolded(Enum):
    """What was found, and is now as it should be: of a parked order, its last good document."""

    RIGHT = "was right"
    MISSING = "was missing"
    DIFFERENT = "was different"
    UNLISTED = "was missing from a list"
    PARKED = "has an event that can't be applied"
    REMOVED = "had a document that no event stands behind: it was removed"
    UNKNOWN = "is not in the log"


def refold(reader: OrderReader, writer: ShardWriter, order_id: OrderId) -> Refolded:
    """Fold one order and write its document and lists; where it has no event, remove them.

    Raises:
        UnavailableError: the event store can't be reached; running it again is safe.
        DocumentMovedError: the order kept changing.
    """
    for _ in range(ATTEMPTS):
        fed = writer.fed()
        read = {generation: writer.read(generation, [order_id])[order_id] for generation in fed}
        reader.ask_keys_anew()  # what was read may be emptied, and is to stay so if it should be
        folded = reader.fold_many([order_id]).get(order_id)
        try:
            if folded is None:
                return _remove(writer, order_id, read)
            found = _found(writer, read, folded)
            writer.apply(
                [Step(one, [_change(order_id, stored, folded)]) for one, stored in read.items()]
            )
        except (DocumentMovedError, FedChangedError):
            continue
        return found
    raise DocumentMovedError(f"{order_id} kept changing")


def remove_misplaced(shards: Sequence[ShardWriter], order_id: OrderId) -> bool:
    """Remove an order's documents from shards where nobody looks for it; False: there was none.

    Raises:
        DocumentMovedError: somebody writes there; running it again is safe.
    """
    partition = shard_keys.partition_of(order_id, len(shards))
    found = False
    for shard in (*shards[:partition], *shards[partition + 1 :]):
        for generation in shard.fed():
            stored = shard.read(generation, [order_id])[order_id]
            if stored is not None:
                shard.remove(generation, order_id, stored)
                found = True
    return found


def _remove(
    writer: ShardWriter, order_id: OrderId, read: Mapping[int, StoredDocument | None]
) -> Refolded:
    found = Refolded.UNKNOWN
    for generation, stored in read.items():
        if stored is not None:
            writer.remove(generation, order_id, stored)
            found = Refolded.REMOVED
    return found


def _change(
    order_id: OrderId, stored: StoredDocument | None, folded: OrderDocument | UnreadableEventError
) -> Change | Parking:
    if isinstance(folded, UnreadableEventError):
        return Parking.of(order_id, stored, folded, relist=True)
    return Change(stored, folded, relist=True, asked_anew=True)


def _found(
    writer: ShardWriter,
    read: Mapping[int, StoredDocument | None],
    folded: OrderDocument | UnreadableEventError,
) -> Refolded:
    if isinstance(folded, UnreadableEventError):
        return Refolded.PARKED
    stored = [one for one in read.values() if one is not None]
    if len(stored) < len(read):
        return Refolded.MISSING
    right, header = stored_document.encode(folded)
    if any(stored_document.encode_stored(one) != right for one in stored):
        return Refolded.DIFFERENT
    if not all(writer.is_listed(generation, header) for generation in read):
        return Refolded.UNLISTED
    return Refolded.RIGHT
