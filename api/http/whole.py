"""An answer as one message, for a server that takes it: ASGI has two, head and body, at least.

Rule: only headers of our own making go out so, as nothing looks through them again: constants,
numbers, and a correlation id that was read strictly.
"""

from collections.abc import Sequence

from starlette.types import Scope

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values in Latin-1, as ASGI has them."""

WHOLE = "ordertrail.response.whole"
"""The message, with `status`, `headers` and `body`; in `extensions` of a scope: it is taken."""


def takes_whole(scope: Scope) -> bool:
    """Whether the server takes whole answers."""
    return WHOLE in (scope.get("extensions") or ())
