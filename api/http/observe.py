"""Each request has a name, a log line and a measurement, and ends in an answer.

Rule: nothing personal is logged: no bodies, tokens, paths, queries or subjects, only the route's
template and the subject's role.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import structlog
from prometheus_client import REGISTRY
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.headers import correlation_id, sent
from api.http.problems import ProblemError, render
from api.http.tallies import RequestTallies
from api.http.whole import WHOLE
from domain.envelope import Actor

ACTOR = "ordertrail.actor"
CORRELATION_ID = "ordertrail.correlation_id"
CLIENT_GONE = 499
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

TALLIES = RequestTallies((0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
REGISTRY.register(TALLIES)

BEGINNINGS = frozenset({"http.response.start", WHOLE})
NOSNIFF = (b"x-content-type-options", b"nosniff")

AccessLog: TypeAlias = Callable[[Mapping[str, object]], None]
"""Takes the fields of one line; the correlation id is in structlog's context."""

_log = structlog.get_logger("ordertrail.access")
_token = structlog.contextvars.bind_contextvars(correlation_id=None)["correlation_id"]
_correlation = _token.var
"""Where structlog keeps what is bound as `correlation_id`: to set it alone costs a tenth."""
_correlation.reset(_token)


def log_access(line: Mapping[str, object]) -> None:
    """Write the line as any other."""
    _log.info("request", **line)


class Observe:
    """ASGI middleware, the outermost: correlation id, access log, metrics, and the last 500."""

    def __init__(self, app: ASGIApp, access_log: AccessLog = log_access) -> None:
        self._app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        names = sent(scope, b"x-correlation-id")
        name = correlation_id(names[0] if names else None)
        scope[CORRELATION_ID] = name
        started = time.perf_counter()
        status = 0

        def answer(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] in BEGINNINGS:
                status = message["status"]
                ours = ((b"x-correlation-id", name.encode("ascii")), NOSNIFF)
                message["headers"] = [*message.get("headers", ()), *ours]
            return send(message)

        token = _correlation.set(name)
        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            status = status or CLIENT_GONE
        except Exception:  # noqa: BLE001
            # The last line of defense: whatever it is, it is logged whole and answered.
            _log.exception("request_failed")
            if not status:
                await render(_failed(name))(scope, receive, answer)
        finally:
            self._record(scope, status, time.perf_counter() - started)
            _correlation.reset(token)

    def _record(self, scope: Scope, status: int, duration_s: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = getattr(scope.get("route"), "path", "unmatched")
        actor = scope.get(ACTOR)
        TALLIES.of((method, route, f"{status // 100}xx")).add(duration_s)
        self._access_log(
            {
                "method": method,
                "route": route,
                "status": status,
                "duration_ms": round(duration_s * 1000, 3),
                "role": str(actor.role) if isinstance(actor, Actor) else None,
            }
        )


def _failed(name: str) -> ProblemError:
    return ProblemError(
        500,
        "internal_error",
        "this is our fault; the correlation id finds it in our logs",
        extra={"correlation_id": name},
    )
