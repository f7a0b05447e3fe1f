"""Assemble an app: the same middleware, errors and operations for both.

Rule: a path that the other app serves is a known one here, so that the two answer as one origin:
405 with everything that the resource takes, not 404.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from api.http import operations, problems
from api.http.auth import Authenticator
from api.http.body_limit import BodyLimit
from api.http.direct import DirectRoute, DirectRoutes, Handler
from api.http.observe import AccessLog, Observe, log_access
from api.http.openapi import Documentation, document
from api.http.operations import Refreshes
from api.http.problems import ProblemError, render
from api.http.readiness import Readiness
from api.http.validation import invalid_parameters
from commands.ports import StreamUnreadableError
from domain.errors import DomainError, UnavailableError
from projections.ports import OrderParkedError, TooManyFoldsError

Resources = Mapping[str, str]
"""Path templates of the whole origin, and the methods that each takes, as `Allow` says them."""


class Surface(FastAPI):
    """An app that answers its busiest routes itself, and leaves the rest to the framework."""

    def answer_directly(
        self,
        routes: Sequence[DirectRoute],
        handlers: Mapping[type[Exception], Handler],
        access_log: AccessLog,
    ) -> None:
        self._direct = DirectRoutes(routes, handlers)
        self._direct_stack = Observe(BodyLimit(self._direct), access_log)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        if scope["type"] == "http" and self._direct.take(scope):
            scope["app"] = self
            return self._direct_stack(scope, receive, send)
        return super().__call__(scope, receive, send)


def create_surface(
    routers: tuple[APIRouter, ...],
    *,
    direct: Sequence[DirectRoute],
    documentation: Documentation,
    resources: Resources,
    authenticator: Authenticator,
    readiness: Readiness,
    refreshes: Refreshes = (),
    access_log: AccessLog = log_access,
) -> FastAPI:
    """Make an app of these routes, of which `direct` go past the framework's router.

    Its caller adds the ports to `app.state`.
    """
    app = Surface(
        title=documentation.title,
        description=documentation.description,
        version=documentation.version,
        openapi_url=documentation.url,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(Observe, access_log), Middleware(BodyLimit)],
    )
    app.state.authenticator = authenticator
    app.state.readiness = readiness
    app.state.refreshes = refreshes
    app.include_router(operations.router)
    for router in routers:
        app.include_router(router)
    handlers = _handlers(resources)
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    app.answer_directly(direct, handlers, access_log)
    document(app, documentation)
    return app


def _handlers(resources: Resources) -> Mapping[type[Exception], Handler]:
    patterns = [(compile_path(path)[0], methods) for path, methods in resources.items()]

    async def framework_error(request: Request, error: HTTPException) -> Response:
        # Starlette raises these for paths and methods that no route takes.
        if error.status_code in (404, 405):
            for pattern, methods in patterns:
                if pattern.match(request.scope["path"]) and request.method not in methods:
                    return render(
                        ProblemError(405, "method_not_allowed", headers={"Allow": methods})
                    )
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
        return render(ProblemError(error.status_code, code, headers=error.headers or {}))

    return {
        ProblemError: _rendered(lambda problem: problem),
        DomainError: _rendered(problems.refused),
        UnavailableError: _rendered(problems.unavailable),
        TooManyFoldsError: _rendered(problems.too_many_folds),
        OrderParkedError: _rendered(problems.order_parked),
        StreamUnreadableError: _rendered(problems.order_parked),
        RequestValidationError: _rendered(lambda error: invalid_parameters(error.errors())),
        HTTPException: framework_error,
    }


def _rendered(problem_of: Callable[[Any], ProblemError]) -> Handler:
    async def handle(_request: Request, error: Any) -> Response:
        return render(problem_of(error))

    return handle
