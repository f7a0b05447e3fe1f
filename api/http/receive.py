"""What every command route does: take its request apart, and answer with what was done.

Rule: who asks is settled before anything of the request is read; the address is part of what an
idempotency key stands for, so a key that is used for another order is refused, not replayed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson
from pydantic import BaseModel
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.http.access import authorize
from api.http.headers import entity_tag, idempotency_key, if_match, traceparent
from api.http.json_body import fingerprint, read_json
from api.http.observe import CORRELATION_ID
from api.http.parameters import no_parameters
from api.http.problems import ProblemError
from api.http.ready_json import ReadyJson
from commands.ports import Answer, Ports, Request
from domain.envelope import Actor, Role

M = TypeVar("M", bound=BaseModel)

NO_STORE = (b"cache-control", b"no-store")


@dataclass(frozen=True, slots=True)
class Received(Generic[M]):
    """A command as it came in.

    Attributes:
        content: the valid body.
        request: who asks, and under which names the consequences are filed.
        if_position: the log position of the view that the caller decided on; None: any.
    """

    content: M
    request: Request
    ports: Ports
    if_position: int | None

    @property
    def actor(self) -> Actor:
        return self.request.actor


async def receive(
    http: HttpRequest,
    model: type[M],
    roles: Collection[Role],
    route: str,
    *,
    key_needed: bool = False,
) -> Received[M]:
    """Read a command whose body is the same for everybody; see `receive_by_role`."""
    return await receive_by_role(http, dict.fromkeys(roles, model), route, key_needed=key_needed)


async def receive_by_role(
    http: HttpRequest, models: Mapping[Role, type[M]], route: str, *, key_needed: bool = False
) -> Received[M]:
    """Read a command. Raises ProblemError 400, 401, 403, 413, 415, 422.

    Args:
        http: the request; what its address names is part of what the idempotency key stands for.
        models: who may ask, and with which body.
        route: the scope of the key besides the caller, such as `POST /v1/orders`.
        key_needed: whether it is refused without an `Idempotency-Key`.
    """
    actor = authorize(http, models)
    no_parameters(http)
    key = idempotency_key(http)
    if key is None and key_needed:
        raise ProblemError(
            400,
            "idempotency_key_missing",
            "this needs an Idempotency-Key, so that a retry can't do it twice",
            errors=[{"header": "Idempotency-Key", "detail": "missing"}],
        )
    if_position = if_match(http)
    body = await read_json(http, models[actor.role])
    ports: Ports = http.app.state.ports
    request = Request(
        actor=actor,
        command_id=str(ports.names.new_event_id()),
        correlation_id=http.scope[CORRELATION_ID],
        route=route,
        traceparent=traceparent(http),
        idempotency_key=key,
        fingerprint=fingerprint(body.document, "/".join(http.path_params.values())),
    )
    return Received(body.content, request, ports, if_position)


def answered(answer: Answer, location: str, *, status: int = 201) -> Response:
    """Say what was done, and at which log position.

    Args:
        answer: the command's.
        location: the address of what was made or changed.
        status: 201, or 202 where it has begun something that goes on.
    """
    headers = [
        (b"location", location.encode()),
        (b"etag", entity_tag(answer.position).encode()),
        NO_STORE,
    ]
    if answer.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    body = {**answer.body, "position": answer.position}
    return ReadyJson(orjson.dumps(body), headers, status_code=status)
