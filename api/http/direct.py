"""The few routes that nearly all requests take, answered without the framework's router.

The framework has them too: it describes them, and serves what asks for them in another way
(HEAD). Rule: the same endpoint, the same errors and the same middleware, whichever way.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
Handler: TypeAlias = Callable[[Request, Any], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """Attributes: path: a template in which at most the last segment is a parameter."""

    method: str
    path: str
    endpoint: Endpoint


class DirectRoutes:
    """ASGI app for requests that `take` has claimed."""

    def __init__(
        self, routes: Sequence[DirectRoute], handlers: Mapping[type[Exception], Handler]
    ) -> None:
        self._whole = {(one.method, one.path): one for one in routes if "{" not in one.path}
        self._prefixed = {
            (one.method, one.path.rpartition("/")[0]): (one, one.path.rpartition("/")[2][1:-1])
            for one in routes
            if "{" in one.path
        }
        self._handlers = handlers

    def take(self, scope: Scope) -> bool:
        """Claim a request for one of these routes; what it matches is then in its scope."""
        method, path = scope["method"], scope["path"]
        route = self._whole.get((method, path))
        if route is not None:
            scope["route"], scope["path_params"] = route, {}
            return True
        before, _, last = path.rpartition("/")
        found = self._prefixed.get((method, before))
        if found is None or not last:
            return False
        scope["route"], scope["path_params"] = found[0], {found[1]: last}
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        route: DirectRoute = scope["route"]
        try:
            response = await route.endpoint(request)
        except Exception as error:  # noqa: BLE001  # what has no handler is raised again
            response = await self._handle(request, error)
        await response(scope, receive, send)

    async def _handle(self, request: Request, error: Exception) -> Response:
        for kind in type(error).__mro__:
            handler = self._handlers.get(kind)
            if handler is not None:
                return await handler(request, error)
        raise error
