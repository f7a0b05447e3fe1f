"""The request headers that we act on, read strictly: what they mean or why they don't."""

import re
import uuid
from typing import Annotated

from fastapi import Header
from starlette.requests import Request

from api.http.problems import ProblemError

LONGEST_WAIT_S = 10.0
DEFAULT_WAIT_S = 0.25
NO_POSITION = -1
"""A position that no view has: for an entity tag that is well formed but not one of ours."""

_VISIBLE = re.compile(r"[\x21-\x7e]+")
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_OUR_TAG = re.compile(r'"(0|[1-9][0-9]{0,18})"')
_WAIT = re.compile(r'wait\s*=\s*"?([0-9]{1,9}(?:\.[0-9]{1,3})?)"?(?:\s*;.*)?', re.IGNORECASE)
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def correlation_id(sent: str | None) -> str:
    """Take the caller's name for this request if it is 1-128 visible ASCII, else make one."""
    if sent is not None and len(sent) <= 128 and _VISIBLE.fullmatch(sent):  # noqa: PLR2004
        return sent
    return str(uuid.uuid4())


def traceparent(request: Request) -> str | None:
    """Give the W3C Trace Context of the request if it has a well-formed one."""
    sent = request.headers.get("traceparent", "")
    return sent if _TRACEPARENT.fullmatch(sent) else None


async def idempotency_key(
    request: Request,
    _documented: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="1-255 visible ASCII characters. The same key and body give the first "
            "answer again; with another body the key is refused.",
        ),
    ] = None,
) -> str | None:
    """Give the key, if one was sent. Raises ProblemError 400."""
    sent = request.headers.getlist("idempotency-key")
    if not sent:
        return None
    if len(sent) > 1 or len(sent[0]) > 255 or not _VISIBLE.fullmatch(sent[0]):  # noqa: PLR2004
        raise ProblemError(
            400,
            "idempotency_key_malformed",
            "an Idempotency-Key is 1-255 visible ASCII characters",
            errors=[{"header": "Idempotency-Key", "detail": "malformed"}],
        )
    return sent[0]


async def if_match(
    request: Request,
    _documented: Annotated[
        str | None,
        Header(alias="If-Match", description="The ETag of the view that this decision rests on."),
    ] = None,
) -> int | None:
    """Give the position in If-Match (RFC 9110, 13.1.1); None for any. Raises ProblemError 400.

    A tag that is well formed but weak or not of our making matches nothing: `NO_POSITION`.
    """
    sent = request.headers.get("if-match")
    if sent is None or sent.strip() == "*":
        return None
    sent = sent.strip()
    if len(request.headers.getlist("if-match")) > 1 or not _ENTITY_TAG.fullmatch(sent):
        raise ProblemError(
            400,
            "if_match_malformed",
            "If-Match is one entity tag or *",
            errors=[{"header": "If-Match", "detail": "malformed"}],
        )
    ours = _OUR_TAG.fullmatch(sent)
    return int(ours[1]) if ours else NO_POSITION


def entity_tag(position: int) -> str:
    return f'"{position}"'


def none_match(request: Request, tag: str) -> bool:
    """Whether If-None-Match names this tag (weak comparison, RFC 9110, 13.1.2)."""
    sent = ",".join(request.headers.getlist("if-none-match")).strip()
    if sent == "*":
        return True
    return any(found.removeprefix("W/") == tag for found in _ENTITY_TAG.findall(sent))


def preferred_wait_s(request: Request) -> float:
    """Give the seconds in `Prefer: wait=` (RFC 7240); what can't be read is ignored, as it says."""
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        found = _WAIT.fullmatch(preference.strip())
        if found:
            return min(float(found[1]), LONGEST_WAIT_S)
    return DEFAULT_WAIT_S
