"""A request that goes past the framework's router is answered as it would be by it."""

import orjson
import pytest
from fastapi import FastAPI

from api.http.surface import Surface
from tests.api.api import JSON, ORDER, Api


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the framework's router answer everything."""
    monkeypatch.setattr(Surface, "__call__", FastAPI.__call__)


def shown(api: Api) -> str:
    return f"/v1/orders/{api.placed()['order_id']}"


@pytest.mark.parametrize(
    ("query", "headers", "role"),
    [
        ("", {}, "service"),
        ("?min_position=1", {"Prefer": "wait=0"}, "customer"),
        ("?min_position=x", {}, "service"),
        ("?limit=1", {}, "service"),
        ("", {"If-None-Match": "*"}, "service"),
        ("", {}, "auditor"),
        ("", {}, None),
    ],
)
def test_a_read_is_the_same_either_way(
    api: Api,
    query: str,
    headers: dict[str, str],
    role: str | None,
    request: pytest.FixtureRequest,
) -> None:
    path = shown(api) + query
    sent = {"X-Correlation-ID": "same", **headers}
    direct = api.get(path, role=role, subject="c-17850", headers=sent)
    request.getfixturevalue("routed")
    routed = api.get(path, role=role, subject="c-17850", headers=sent)
    assert direct.status_code == routed.status_code
    assert direct.content == routed.content
    assert dict(direct.headers) == dict(routed.headers)


@pytest.mark.parametrize("body", [ORDER, {**ORDER, "lines": []}, {"currency": "GBP"}, [1]])
def test_an_order_is_the_same_either_way(
    api: Api, body: object, request: pytest.FixtureRequest
) -> None:
    sent = {**JSON, "X-Correlation-ID": "same", "Idempotency-Key": "k"}
    content = orjson.dumps(body)
    direct = api.call("POST", "/v1/orders", headers=sent, content=content)
    request.getfixturevalue("routed")
    routed = api.call("POST", "/v1/orders", headers=sent, content=content)
    assert direct.status_code == routed.status_code
    assert direct.content == routed.content
    # The second is the first again: that alone may differ.
    replayed = {"idempotent-replayed": "true"} if direct.status_code == 201 else {}
    assert {**direct.headers, **replayed} == dict(routed.headers)


@pytest.mark.parametrize("path", ["/v1/orders/", "/v1/orders/a/b", "/v1/orders/%2F", "/v1//orders"])
def test_an_address_that_is_no_direct_one_is_left_to_the_router(api: Api, path: str) -> None:
    assert api.get(path).status_code == 404
