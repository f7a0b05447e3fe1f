"""Where a list goes on. Opaque to callers, and good only for the filters that it was made under.

The sum is no secret: a forged cursor can only name another place in the same caller's own list.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence

import orjson

from api.http.problems import ProblemError

LONGEST_CURSOR = 1_000


def write_cursor(made_under: Sequence[object], after: str) -> str:
    """Name the place after the item with this sort key, in a list that is made like this."""
    content = orjson.dumps({"after": after, "sum": _sum(made_under, after)})
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def read_cursor(made_under: Sequence[object], cursor: str) -> str:
    """Give the sort key of the last item that was seen. Raises ProblemError 422: `bad_cursor`."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        content = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        after = content["after"]
        if not isinstance(after, str) or content["sum"] != _sum(made_under, after):
            raise ValueError("not for these filters")  # noqa: TRY301
    except (ValueError, TypeError, KeyError, binascii.Error) as error:
        raise bad_cursor() from error
    return after


def bad_cursor() -> ProblemError:
    return ProblemError(
        422,
        "bad_cursor",
        "the cursor is not from a list with these filters",
        errors=[{"parameter": "cursor", "detail": "not a next_cursor of this list"}],
    )


def _sum(made_under: Sequence[object], after: str) -> str:
    return hashlib.sha256(orjson.dumps([*made_under, after])).hexdigest()[:16]
