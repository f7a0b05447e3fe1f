"""Where a list goes on. Opaque to callers, and good only for the filters that it was made under.

The sum is no secret: a forged cursor can only name another place in the same caller's own list.
"""

import base64
import binascii
import hashlib
from dataclasses import replace

import orjson

from api.http.problems import ProblemError
from projections.ports import OrderQuery

LONGEST_CURSOR = 1_000


def write_cursor(query: OrderQuery, after: str) -> str:
    """Name the place after the item with this sort key."""
    content = orjson.dumps({"after": after, "sum": _sum(query, after)})
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def resume(query: OrderQuery, cursor: str) -> OrderQuery:
    """Continue where a cursor says. Raises ProblemError 422: `bad_cursor`."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        content = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        after = content["after"]
        if not isinstance(after, str) or content["sum"] != _sum(query, after):
            raise ValueError("not for these filters")  # noqa: TRY301
    except (ValueError, TypeError, KeyError, binascii.Error) as error:
        raise ProblemError(
            422,
            "bad_cursor",
            "the cursor is not from a list with these filters",
            errors=[{"parameter": "cursor", "detail": "not a next_cursor of this list"}],
        ) from error
    return replace(query, after=after)


def _sum(query: OrderQuery, after: str) -> str:
    made_under = [query.customer_id, query.status, query.external_reference, after]
    return hashlib.sha256(orjson.dumps(made_under)).hexdigest()[:16]
