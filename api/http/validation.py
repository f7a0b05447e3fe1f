"""Validation errors in our words: where and what, never the input, and not without bound."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from api.http.problems import ProblemError

MOST_ERRORS = 50
LONGEST_POINTER = 300
"""A pointer holds the names of unknown fields, which are the caller's, so it is cut."""


def invalid_body(errors: Iterable[Mapping[str, Any]]) -> ProblemError:
    """Turn pydantic's errors on a body into a 422 with JSON Pointers."""
    return _invalid([{"pointer": pointer(e["loc"]), "detail": _detail(e)} for e in errors])


def invalid_parameters(errors: Iterable[Mapping[str, Any]]) -> ProblemError:
    """Turn FastAPI's errors on query parameters into a 422 with their names."""
    return _invalid(
        [{"parameter": str(e["loc"][-1])[:LONGEST_POINTER], "detail": _detail(e)} for e in errors]
    )


def repeated_parameters(names: Iterable[str]) -> ProblemError:
    """Say which of these names stand there more than once: which of the values is meant?"""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    return _invalid(
        [
            {"parameter": name[:LONGEST_POINTER], "detail": "this is given more than once"}
            for name in repeated
        ]
    )


def pointer(location: Sequence[str | int]) -> str:
    """Write a place in a JSON document as RFC 6901 says, cut to `LONGEST_POINTER`."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in location)
    return "".join(f"/{part}" for part in parts)[:LONGEST_POINTER]


def _invalid(errors: Sequence[Mapping[str, str]]) -> ProblemError:
    return ProblemError(
        422, "invalid_request", "some of the request is not valid", errors=errors[:MOST_ERRORS]
    )


def _detail(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such field"
    return str(error["msg"])
