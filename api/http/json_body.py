"""Read a JSON body strictly (RFC 8259, I-JSON's refusals) and validate it.

Malformed is 400: bad UTF-8, lone surrogates, NaN, nesting bombs, a byte-order mark. Well-formed
but wrong is 422. orjson is what refuses the former; an integer beyond 64 bits becomes a float
there, which no strict field takes, and one beyond a float's range is told apart here. Of a member
that is given twice, the last counts.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from api.http.headers import sent
from api.http.problems import ProblemError
from api.http.validation import invalid_body

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class JsonBody(Generic[M]):
    """A body that is valid. `document` is the parsed JSON as it came."""

    content: M
    document: object


async def read_json(request: Request, model: type[M]) -> JsonBody[M]:
    """Read a body of this model. Raises ProblemError 400, 413, 415, 422."""
    _require_json(request)
    body = await _read(request)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unreadable(body) from error
    try:
        return JsonBody(model.model_validate(document), document)
    except ValidationError as error:
        raise invalid_body(
            error.errors(include_url=False, include_context=False, include_input=False)
        ) from error


def fingerprint(document: object, scope: str = "") -> bytes:
    """Hash a parsed body, so that white space and the order of keys don't count.

    Only for a document that was valid: its depth and its numbers are then bounded.
    """
    canonical = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(scope.encode() + b"\n" + canonical).digest()


async def _read(request: Request) -> bytes:
    """Take the body whole; the middleware bounds it. Most bodies are one message."""
    chunks: list[bytes] = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _unreadable(body: bytes) -> ProblemError:
    """Say what is wrong: no JSON at all, or a number so large that nothing here could take it."""
    try:
        # orjson takes no lone surrogates, which Python's parser lets through.
        text = body.decode("utf-8")
        orjson.dumps(json.loads(text, parse_int=len, parse_float=len, parse_constant=_refuse))
    except (ValueError, TypeError, RecursionError):
        return ProblemError(400, "malformed_json", "the body is not JSON")
    return ProblemError(422, "invalid_request", "a number in the body is out of every range")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _require_json(request: Request) -> None:
    values = sent(request.scope, b"content-type")
    encodings = sent(request.scope, b"content-encoding")
    if values == ["application/json"] and not encodings:
        return
    media_type, _, parameters = (values[0] if values else "").lower().partition(";")
    charset = parameters.replace('"', "").replace(" ", "")
    if (
        media_type.strip() != "application/json"
        or ("charset=" in charset and "charset=utf-8" not in charset)
        or encodings not in ([], ["identity"])
    ):
        raise ProblemError(
            415,
            "unsupported_media_type",
            "the body is application/json in UTF-8, not compressed",
            headers={"Accept": "application/json"},
        )
