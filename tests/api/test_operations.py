"""Health, metrics, logs and the answers that come from no route."""

import json
from typing import Any

import pytest
import structlog

from tests.api.api import ORDER, Api, assert_problem

APPS = pytest.mark.parametrize("method", ["GET", "POST"])


def ready(api: Api, app: str) -> tuple[int, dict[str, Any]]:
    target = api.command_app if app == "command" else api.query_app
    target.state.readiness._checked_at = -10.0
    response = api.ask(target, "/readyz")
    return response.status_code, response.json()


@pytest.mark.parametrize(
    ("app", "down", "status", "word"),
    [
        ("command", [], 200, "ready"),
        ("command", ["redis", "kafka"], 200, "degraded"),
        ("command", ["postgres"], 503, "unavailable"),
        ("query", [], 200, "ready"),
        ("query", ["redis"], 200, "degraded"),
        ("query", ["postgres", "kafka"], 200, "degraded"),
        ("query", ["postgres", "redis"], 503, "unavailable"),
    ],
)
def test_a_process_is_unready_only_where_it_can_serve_nothing(
    api: Api, app: str, down: list[str], status: int, word: str
) -> None:
    for part in down:
        api.checks[part] = ConnectionError("refused")
    answered, document = ready(api, app)
    assert (answered, document["status"]) == (status, word)
    expected = {part: "down" if part in down else "ok" for part in api.checks}
    assert document["checks"] == expected


def test_a_part_that_hangs_is_down(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.readiness.CHECK_TIMEOUT_S", 0.02)
    api.checks["redis"] = TimeoutError()
    assert ready(api, "query")[1]["checks"]["redis"] == "down"
    assert api.ask(api.query_app, "/healthz").json() == {"status": "ok"}


def test_checks_run_once_however_many_ask(api: Api) -> None:
    ready(api, "query")
    api.checks["postgres"] = api.checks["redis"] = ConnectionError()
    assert api.ask(api.query_app, "/readyz").status_code == 200
    assert ready(api, "query")[0] == 503


def test_every_answer_carries_its_correlation_id(api: Api) -> None:
    for path in ("/v1/orders", "/nowhere", "/healthz"):
        assert (
            api.get(path, headers={"X-Correlation-ID": "a-b"}).headers["x-correlation-id"] == "a-b"
        )
    for odd in ("x" * 129, "two words", "caf\u00e9", ""):
        sent: Any = {"X-Correlation-ID": odd.encode("latin-1")}
        made = api.get("/healthz", headers=sent).headers["x-correlation-id"]
        assert made != odd
        assert made


@APPS
def test_an_unknown_path_is_a_404(api: Api, method: str) -> None:
    for path in ("/", "/v1", "/v1/orders/", "/v2/orders", "/docs/../x", "/docs/passwd"):
        response = api.call(method, path)
        assert response.status_code in (404, 405)
        assert response.headers["content-type"] == "application/problem+json"
    assert_problem(api.call(method, "/nowhere"), 404, "not_found")


def test_what_only_the_other_app_serves_is_not_found_here(api: Api) -> None:
    for path in ("/docs", "/openapi/queries.json", "/v1/orders/1/history"):
        assert_problem(api.ask(api.command_app, path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/orders", "GET, HEAD, POST"),
        ("DELETE", "/v1/orders/1", "GET, HEAD"),
        ("PATCH", "/v1/orders/1/cancellations", "POST"),
        ("GET", "/v1/orders/1/cancellations", "POST"),
        ("POST", "/v1/orders/1/history", "GET, HEAD"),
        ("OPTIONS", "/v1/orders", "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("BREW", "/v1/orders", "GET, HEAD, POST"),
    ],
)
def test_another_method_is_a_405_that_says_what_the_origin_allows(
    api: Api, method: str, path: str, allowed: str
) -> None:
    response = api.call(method, path)
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed


def test_a_bug_is_a_500_that_says_nothing_and_a_log_line_that_says_all(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret plan")

    monkeypatch.setattr(api.views, "find", broken)
    order_id = api.placed()["order_id"]
    with structlog.testing.capture_logs() as logs:
        response = api.get(f"/v1/orders/{order_id}", headers={"X-Correlation-ID": "c-1"})
    problem = assert_problem(response, 500, "internal_error")
    assert problem["correlation_id"] == "c-1"
    assert "secret" not in response.text
    assert [line["event"] for line in logs] == ["request_failed", "request"]
    assert logs[0]["exc_info"]
    assert logs[1]["status"] == 500


def test_a_log_line_says_what_was_done_and_nothing_personal(api: Api) -> None:
    order_id = api.placed()["order_id"]
    with structlog.testing.capture_logs() as logs:
        api.place({**ORDER, "external_reference": None})
        api.get(f"/v1/orders/{order_id}?min_position=1", role="customer", subject="c-17850")
        api.get("/v1/orders?external_reference=536365&customer_id=c-17850")
        api.get("/v1/somewhere/c-17850", role=None)
    assert [(x["method"], x["route"], x["status"], x["role"]) for x in logs] == [
        ("POST", "/v1/orders", 201, "service"),
        ("GET", "/v1/orders/{order_id}", 200, "customer"),
        ("GET", "/v1/orders", 200, "service"),
        ("GET", "unmatched", 404, None),
    ]
    written = json.dumps(logs)
    for personal in ("Ada", "ada@", "c-17850", "tok_visa", "536365", order_id, "Bearer", "eyJ"):
        assert personal not in written


def test_measurements_have_bounded_labels(api: Api) -> None:
    order_id = api.placed()["order_id"]
    api.get(f"/v1/orders/{order_id}")
    api.call("BREW", f"/coffee/{order_id}")
    response = api.get("/metrics", role=None)
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert (
        'ordertrail_http_requests_total{method="GET",route="/v1/orders/{order_id}",'
        'status_class="2xx"}'
    ) in response.text
    assert 'method="other",route="unmatched",status_class="4xx"' in response.text
    assert "ordertrail_http_request_duration_seconds_bucket" in response.text
    assert order_id not in response.text
