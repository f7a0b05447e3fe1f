"""Fold one order from the event store and write it over what every fed generation has of it.

A document that has gone past the fold meanwhile is left to the projector, which is newer. One that
no event stands behind is removed: what was read before the log was asked can't be of a new order.
"""

from collections.abc import Iterable, Mapping
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
            steps = [Step(one, _changes(stored, document)) for one, stored in read.items()]
            writer.apply(steps)
        except (DocumentMovedError, FedChangedError):
            continue
        return _found(read.values(), document)
    raise DocumentMovedError(f"{order_id} kept changing")


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


def _found(stored: Iterable[StoredDocument | None], document: OrderDocument) -> Refolded:
    right = layout.encode(document)[0]
    found = Refolded.RIGHT
    for one in stored:
        if one is None:
            return Refolded.MISSING
        if one.position <= document.position and layout.encode_stored(one) != right:
            found = Refolded.DIFFERENT
    return found
