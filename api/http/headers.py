"""The request headers that we act on, read strictly: what they mean or why they don't."""

import re
from collections.abc import Mapping, Sequence

import uuid_utils
from starlette.requests import Request
from starlette.types import Scope

from api.http.problems import ProblemError

LONGEST_WAIT_S = 10.0
DEFAULT_WAIT_S = 0.25
NO_POSITION = -1
"""A position that no view has: for an entity tag that is well formed but not one of ours."""

_INDEX = "ordertrail.headers"
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_OUR_TAG = re.compile(r'"(0|[1-9][0-9]{0,18})"')
_WAIT = re.compile(r'wait\s*=\s*"?([0-9]{1,9}(?:\.[0-9]{1,3})?)"?(?:\s*;.*)?', re.IGNORECASE)
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def correlation_id(sent: str | None) -> str:
    """Take the caller's name for this request if it is 1-128 visible ASCII, else make one."""
    if sent is not None and len(sent) <= 128 and _VISIBLE.fullmatch(sent):  # noqa: PLR2004
        return sent
    return str(uuid_utils.uuid4())


def sent(scope: Scope, name: bytes) -> list[str]:
    """Give every value of a header, by its name in lower case, in the order in which they came."""
    values = sent_raw(scope, name)
    return [value.decode("latin-1") for value in values] if values else []


def sent_raw(scope: Scope, name: bytes) -> Sequence[bytes]:
    """Give every value of a header as it came. The headers are gone through once a request."""
    index: Mapping[bytes, Sequence[bytes]] | None = scope.get(_INDEX)
    if index is None:
        index = scope[_INDEX] = _by_name(scope["headers"])
    return index.get(name, ())


def _by_name(headers: Sequence[tuple[bytes, bytes]]) -> Mapping[bytes, Sequence[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    return found


def traceparent(request: Request) -> str | None:
    """Give the W3C Trace Context of the request if it has a well-formed one."""
    values = sent(request.scope, b"traceparent")
    return values[0] if values and _TRACEPARENT.fullmatch(values[0]) else None


def idempotency_key(request: Request) -> str | None:
    """Give the key, if one was sent. Raises ProblemError 400."""
    values = sent(request.scope, b"idempotency-key")
    if not values:
        return None
    if len(values) > 1 or len(values[0]) > 255 or not _VISIBLE.fullmatch(values[0]):  # noqa: PLR2004
        raise ProblemError(
            400,
            "idempotency_key_malformed",
            "an Idempotency-Key is 1-255 visible ASCII characters",
            errors=[{"header": "Idempotency-Key", "detail": "malformed"}],
        )
    return values[0]


def if_match(request: Request) -> int | None:
    """Give the position in If-Match (RFC 9110, 13.1.1); None for any. Raises ProblemError 400.

    A tag that is well formed but weak or not of our making matches nothing: `NO_POSITION`.
    """
    values = sent(request.scope, b"if-match")
    if not values or values[0].strip() == "*":
        return None
    tag = values[0].strip()
    if len(values) > 1 or not _ENTITY_TAG.fullmatch(tag):
        raise ProblemError(
            400,
            "if_match_malformed",
            "If-Match is one entity tag or *",
            errors=[{"header": "If-Match", "detail": "malformed"}],
        )
    ours = _OUR_TAG.fullmatch(tag)
    return int(ours[1]) if ours else NO_POSITION


def entity_tag(position: int) -> str:
    return f'"{position}"'


def none_match(request: Request, tag: str) -> bool:
    """Whether If-None-Match names this tag (weak comparison, RFC 9110, 13.1.2)."""
    values = sent(request.scope, b"if-none-match")
    if not values:
        return False
    tags = ",".join(values).strip()
    if tags == "*":
        return True
    return any(found.removeprefix("W/") == tag for found in _ENTITY_TAG.findall(tags))


def preferred_wait_s(request: Request) -> float:
    """Give the seconds in `Prefer: wait=` (RFC 7240); what can't be read is ignored, as it says."""
    for value in sent(request.scope, b"prefer"):
        for preference in value.split(","):
            found = _WAIT.fullmatch(preference.strip())
            if found:
                return min(float(found[1]), LONGEST_WAIT_S)
    return DEFAULT_WAIT_S
