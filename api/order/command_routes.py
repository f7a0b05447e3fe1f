"""Writes: place an order, cancel it. Each answers with the log position of what it did."""

import orjson
from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.http.access import authorize, forbidden, owner
from api.http.direct import DirectRoute
from api.http.headers import entity_tag, idempotency_key, if_match, traceparent
from api.http.json_body import fingerprint, read_json
from api.http.observe import CORRELATION_ID
from api.http.openapi import header, path, reads, responses
from api.http.problems import ProblemError
from api.http.ready_json import ReadyJson
from api.order.documents import CommandAnswer
from api.order.paths import no_parameters, order_id
from api.order.schemas import CancellationBody, PlaceOrderBody
from api.order.state import command_ports
from commands.order.cancel import cancel_order
from commands.order.place import place_order
from commands.ports import Answer, Ports, Request
from domain.envelope import Actor, Role

router = APIRouter(tags=["orders"])

HEADERS = {
    "Location": "The order's address.",
    "ETag": "The position, quoted: what If-Match takes.",
    "Idempotent-Replayed": "`true` where this is the first answer again.",
    "X-Correlation-ID": "The request's name in logs and history.",
}


KEY = header(
    "Idempotency-Key",
    "1-255 visible ASCII characters. The same key and body give the first answer again; with "
    "another body the key is refused.",
)
IF_MATCH = header("If-Match", "The ETag of the view that this decision rests on.")
CANCELLERS = frozenset({Role.CUSTOMER, Role.SERVICE, Role.MERCHANT})
PLACERS = frozenset({Role.SERVICE})
NO_STORE = (b"cache-control", b"no-store")


@router.post(
    "/v1/orders",
    status_code=201,
    summary="Place an order",
    responses=responses(201, CommandAnswer, HEADERS, 400, 409, 413, 415),
    openapi_extra=reads(KEY, body=PlaceOrderBody),
    response_class=Response,
)
async def post_order(http: HttpRequest) -> Response:
    """Place an order for any customer, at the prices that the body states."""
    actor = authorize(http, PLACERS)
    no_parameters(http)
    key = idempotency_key(http)
    if key is None:
        raise ProblemError(
            400,
            "idempotency_key_missing",
            "an order needs an Idempotency-Key, so that a retry can't place it twice",
            errors=[{"header": "Idempotency-Key", "detail": "missing"}],
        )
    body = await read_json(http, PlaceOrderBody)
    ports = command_ports(http)
    request = _request(
        http,
        actor,
        route="POST /v1/orders",
        key=key,
        body_print=fingerprint(body.document),
        ports=ports,
    )
    return _answer(await place_order(body.content.to_command(), request, ports))


@router.post(
    "/v1/orders/{order_id}/cancellations",
    status_code=201,
    summary="Cancel an order, whole or by line",
    responses=responses(201, CommandAnswer, HEADERS, 400, 404, 409, 412, 413, 415),
    openapi_extra=reads(path("order_id"), KEY, IF_MATCH, body=CancellationBody),
    response_class=Response,
)
async def post_cancellation(http: HttpRequest) -> Response:
    """Cancel all that is left, or the pieces in `lines`. A customer may cancel their own."""
    actor = authorize(http, CANCELLERS)
    no_parameters(http)
    order = order_id(http)
    key = idempotency_key(http)
    if_position = if_match(http)
    body = await read_json(http, CancellationBody)
    if body.content.cancelled_at is not None and actor.role is not Role.SERVICE:
        raise forbidden("role_not_allowed", "only a service may say when it was cancelled")
    ports = command_ports(http)
    request = _request(
        http,
        actor,
        route="POST /v1/orders/{id}/cancellations",
        key=key,
        # With the order in it: a key that is used for another order is refused, not replayed.
        body_print=fingerprint(body.document, str(order)),
        ports=ports,
    )
    command = body.content.to_command(order, owner=owner(actor), if_position=if_position)
    return _answer(await cancel_order(command, request, ports))


DIRECT = (DirectRoute("POST", "/v1/orders", post_order),)
"""Routes that the app answers without its router."""


def _request(
    http: HttpRequest,
    actor: Actor,
    *,
    route: str,
    key: str | None,
    body_print: bytes,
    ports: Ports,
) -> Request:
    return Request(
        actor=actor,
        command_id=str(ports.names.new_event_id()),
        correlation_id=http.scope[CORRELATION_ID],
        route=route,
        traceparent=traceparent(http),
        idempotency_key=key,
        fingerprint=body_print,
    )


def _answer(answer: Answer) -> Response:
    headers = [
        (b"location", b"/v1/orders/%b" % str(answer.order_id).encode()),
        (b"etag", entity_tag(answer.position).encode()),
        NO_STORE,
    ]
    if answer.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    body = {
        "order_id": answer.order_id,
        "order_number": answer.order_number,
        "version": answer.version,
        "position": answer.position,
        "status": str(answer.status),
    }
    return ReadyJson(orjson.dumps(body), headers, status_code=201)
