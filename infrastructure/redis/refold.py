"""Fold one order from the event store and write it over what every fed generation has of it.

A document that has gone past the fold meanwhile is left to the projector, which is newer. One that
no event stands behind is removed: what was read before the log was asked can't be of a new order.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

from domain.ids import OrderId
from infrastructure.event_store.order_reader import OrderReader, UnreadableEventError
from infrastructure.redis import layout
from infrastructure.redis.layout import StoredDocument
from infrastructure.redis.shard import (
    Change,
    DocumentMovedError,
    FedChangedError,
    ShardWriter,
    Step,
)
from projections.order.document import OrderDocument

ATTEMPTS = 5


class Refolded(Enum):
    """What was found, and is now as it should be; a parked order is left as it was."""

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
        try:
            document = reader.fold(order_id)
        except UnreadableEventError:
            return Refolded.PARKED
        try:
            if document is None:
                return _remove(writer, order_id, read)
            found = _found(writer, read, document)
            writer.apply([Step(one, _changes(stored, document)) for one, stored in read.items()])
        except (DocumentMovedError, FedChangedError):
            continue
        return found
    raise DocumentMovedError(f"{order_id} kept changing")


def remove_misplaced(shards: Sequence[ShardWriter], order_id: OrderId) -> bool:
    """Remove an order's documents from shards where nobody looks for it; False: there was none.

    Raises:
        DocumentMovedError: somebody writes there; running it again is safe.
    """
    partition = layout.partition_of(order_id, len(shards))
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


def _changes(stored: StoredDocument | None, document: OrderDocument) -> list[Change]:
    newer = stored is not None and stored.position > document.position
    return [] if newer else [Change(stored, document, relist=True)]


def _found(
    writer: ShardWriter, read: Mapping[int, StoredDocument | None], document: OrderDocument
) -> Refolded:
    if None in read.values():
        return Refolded.MISSING
    right, header = layout.encode(document)
    current = {
        generation: stored
        for generation, stored in read.items()
        if stored is not None and stored.position <= document.position
    }
    if any(layout.encode_stored(stored) != right for stored in current.values()):
        return Refolded.DIFFERENT
    if not all(writer.is_listed(generation, header) for generation in current):
        return Refolded.UNLISTED
    return Refolded.RIGHT
