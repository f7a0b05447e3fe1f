"""Who may call a route. Rule: a route that does not `authorize` serves nothing of anybody's."""

from collections.abc import Collection

from starlette.requests import Request

from api.http.auth import Authenticator, TokenRefusedError
from api.http.headers import sent_raw
from api.http.observe import ACTOR
from api.http.problems import ProblemError
from domain.envelope import Actor, Role
from domain.ids import CustomerId


def authorize(request: Request, roles: Collection[Role]) -> Actor:
    """Give the actor, if their role is one of these. Raises ProblemError 401, 403.

    Call it first in a route: nothing of a stranger's request should be read.
    """
    actor = _authenticate(request)
    request.scope[ACTOR] = actor
    require_role(actor, roles)
    return actor


def require_role(actor: Actor, roles: Collection[Role]) -> None:
    """Refuse an actor whose role is none of these. Raises ProblemError 403."""
    if actor.role not in roles:
        raise forbidden("role_not_allowed", f"a token of role {actor.role} may not do this")


def owner(actor: Actor) -> CustomerId | None:
    """Whose orders this actor is bound to; None: anybody's."""
    return CustomerId(actor.subject) if actor.role is Role.CUSTOMER else None


def forbidden(code: str, detail: str) -> ProblemError:
    return ProblemError(403, code, detail)


def _authenticate(request: Request) -> Actor:
    headers = sent_raw(request.scope, b"authorization")
    if not headers:
        raise _unauthenticated("token_missing", "send Authorization: Bearer and a token", "Bearer")
    authenticator: Authenticator = request.app.state.authenticator
    if len(headers) > 1:
        raise _refused()
    try:
        return authenticator.authenticate_header(headers[0])
    except TokenRefusedError as error:
        raise _refused() from error


def _refused() -> ProblemError:
    return _unauthenticated(
        "token_refused", "the token is not valid here", 'Bearer error="invalid_token"'
    )


def _unauthenticated(code: str, detail: str, challenge: str) -> ProblemError:
    return ProblemError(401, code, detail, headers={"WWW-Authenticate": challenge})
