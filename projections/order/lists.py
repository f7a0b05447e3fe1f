"""Which lists an order is in, and where in them: newest first, by business time.

A list's name is built from callers' own text, so that text is percent-encoded (RFC 3986):
no customer id can spell another list's name.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote

from projections.order.document import OrderDocument

ALL = "all"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def lists_of(document: OrderDocument) -> Sequence[str]:
    """Name every list that the document belongs in, sorted."""
    body = document.body
    names = _lists_of(body["customer"]["id"], body["status"])
    if body["external_reference"] is None:
        return names
    return sorted([*names, list_name(external_reference=body["external_reference"])])


@lru_cache(maxsize=4_096)  # the same few statuses and customers, again and again
def _lists_of(customer_id: str, status: str) -> Sequence[str]:
    names = {
        list_name(),
        list_name(status=status),
        list_name(customer_id=customer_id),
        list_name(customer_id=customer_id, status=status),
    }
    return tuple(sorted(names))


def list_name(
    *,
    customer_id: str | None = None,
    status: str | None = None,
    external_reference: str | None = None,
) -> str:
    """Name the narrowest list for a query. A reference is so narrow that the rest is filtered."""
    if external_reference is not None:
        return f"reference:{_encoded(external_reference)}"
    parts = []
    if customer_id is not None:
        parts.append(f"customer:{_encoded(customer_id)}")
    if status is not None:
        parts.append(f"status:{_encoded(status)}")
    return "/".join(parts) or ALL


@lru_cache(maxsize=4_096)  # the same few statuses and customers, again and again
def _encoded(text: str) -> str:
    return quote(text, safe="")


def sort_key(document: OrderDocument) -> str:
    """Sort orders by the time they were placed, microseconds since 1970, and then by id."""
    placed = datetime.fromisoformat(document.body["placed_at"])
    micros = (placed - EPOCH) // MICROSECOND
    return f"{micros:017d}.{document.body['order_id']}"
