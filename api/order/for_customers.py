"""What customers are shown of an order: neither what staff wrote for staff, nor who of them acted.

Rule: a document goes out as its projection wrote it, and is read only where there is something in
it to hide: the reason of a hold, which stands there for staff.
"""

from collections.abc import Mapping, Sequence

import orjson

from domain.envelope import Actor, Role
from projections.order.difference import Change
from projections.order.history import HIDDEN
from projections.ports import HistoryItem

HOLD_REASON = "hold_reason"
_NOTHING_TO_HIDE = b'"hold_reason":null'
"""As it stands in every document without one; inside of a text there is no quote like these."""
_STAFF = frozenset({Role.SUPPORT, Role.MERCHANT, Role.OPERATOR, Role.AUDITOR})


def shown_body(body: bytes, actor: Actor) -> bytes:
    """Give a document as this reader may see it."""
    if actor.role is not Role.CUSTOMER or _NOTHING_TO_HIDE in body:
        return body
    return orjson.dumps(orjson.loads(body) | {HOLD_REASON: None})


def shown_changes(changes: Sequence[Change], actor: Actor) -> Sequence[Change]:
    """Give changes of a document, or the whole of one, as this reader may see them."""
    if actor.role is not Role.CUSTOMER:
        return changes
    return [_shown_change(one) for one in changes if one["path"] != f"/{HOLD_REASON}"]


def shown_actor(item: HistoryItem, reader: Actor) -> Mapping[str, str]:
    """Say who did it; of staff, customers see the role."""
    subject = HIDDEN if _hides(item, reader) else item.actor.subject
    return {"subject": subject, "role": str(item.actor.role)}


def shown_words(item: HistoryItem, reader: Actor) -> Mapping[str, object]:
    """Give the reason and the payload of an event as this reader may see them."""
    if not _hides(item, reader):
        return {"reason": item.reason, "data": dict(item.data)}
    hidden = dict.fromkeys(item.for_staff, HIDDEN)
    return {"reason": hidden.get("reason", item.reason), "data": {**item.data, **hidden}}


def _shown_change(change: Change) -> Change:
    if change["path"] or "to" not in change:
        return change
    return change | {"to": change["to"] | {HOLD_REASON: None}}


def _hides(item: HistoryItem, reader: Actor) -> bool:
    return reader.role is Role.CUSTOMER and item.actor.role in _STAFF
