"""Who may call a route. Rule: a route without `allow(...)` serves nothing of anybody's."""

from collections.abc import Awaitable, Callable
from typing import Annotated, cast

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from api.http.auth import Authenticator, TokenRefusedError
from api.http.observe import ACTOR
from api.http.problems import ProblemError
from domain.envelope import Actor, Role
from domain.ids import CustomerId

_documented = HTTPBearer(auto_error=False, scheme_name="bearer", bearerFormat="JWT")


def allow(*roles: Role) -> Callable[..., Awaitable[Actor]]:
    """Make the FastAPI dependency that gives the actor. Raises ProblemError 401, 403.

    Put it first among a route's parameters: FastAPI solves them in order, and nothing of a
    stranger's request should be read.
    """

    async def authorize(
        request: Request,
        _credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_documented)] = None,
    ) -> Actor:
        actor = _authenticate(request)
        request.scope[ACTOR] = actor
        if actor.role not in roles:
            raise forbidden("role_not_allowed", f"a token of role {actor.role} may not do this")
        return actor

    return authorize


def owner(actor: Actor) -> CustomerId | None:
    """Whose orders this actor is bound to; None: anybody's."""
    return CustomerId(actor.subject) if actor.role is Role.CUSTOMER else None


def forbidden(code: str, detail: str) -> ProblemError:
    return ProblemError(403, code, detail)


def _authenticate(request: Request) -> Actor:
    sent = request.headers.getlist("authorization")
    if not sent:
        raise _unauthenticated("token_missing", "send Authorization: Bearer and a token", "Bearer")
    scheme, _, token = sent[0].partition(" ")
    authenticator = cast("Authenticator", request.app.state.authenticator)
    if len(sent) > 1 or scheme.lower() != "bearer":
        raise _refused()
    try:
        return authenticator.authenticate(token.strip())
    except TokenRefusedError as error:
        raise _refused() from error


def _refused() -> ProblemError:
    return _unauthenticated(
        "token_refused", "the token is not valid here", 'Bearer error="invalid_token"'
    )


def _unauthenticated(code: str, detail: str, challenge: str) -> ProblemError:
    return ProblemError(401, code, detail, headers={"WWW-Authenticate": challenge})
