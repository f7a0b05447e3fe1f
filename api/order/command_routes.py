"""Writes: place an order, cancel it. Each answers with the log position of what it did."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.http.access import allow, owner
from api.http.headers import entity_tag, idempotency_key, if_match, traceparent
from api.http.json_body import JsonBody, fingerprint, json_body
from api.http.observe import CORRELATION_ID
from api.http.openapi import request_body, responses
from api.http.problems import ProblemError
from api.order.documents import CommandAnswer
from api.order.paths import no_parameters, order_id
from api.order.schemas import CancellationBody, PlaceOrderBody
from api.order.state import command_ports
from commands.order.cancel import cancel_order
from commands.order.place import place_order
from commands.ports import Answer, Ports, Request
from domain.envelope import Actor, Role
from domain.ids import OrderId

router = APIRouter(tags=["orders"])

HEADERS = {
    "Location": "The order's address.",
    "ETag": "The position, quoted: what If-Match takes.",
    "Idempotent-Replayed": "`true` where this is the first answer again.",
    "X-Correlation-ID": "The request's name in logs and history.",
}


async def required_idempotency_key(
    key: Annotated[str | None, Depends(idempotency_key)],
) -> str:
    if key is None:
        raise ProblemError(
            400,
            "idempotency_key_missing",
            "an order needs an Idempotency-Key, so that a retry can't place it twice",
            errors=[{"header": "Idempotency-Key", "detail": "missing"}],
        )
    return key


@router.post(
    "/v1/orders",
    status_code=201,
    summary="Place an order",
    responses=responses(201, CommandAnswer, HEADERS, 400, 409, 413, 415),
    openapi_extra=request_body(PlaceOrderBody),
    response_class=Response,
)
async def post_order(
    *,
    http: HttpRequest,
    actor: Annotated[Actor, Depends(allow(Role.SERVICE))],
    _none: Annotated[None, Depends(no_parameters)],
    key: Annotated[str, Depends(required_idempotency_key)],
    body: Annotated[JsonBody[PlaceOrderBody], Depends(json_body(PlaceOrderBody))],
    ports: Annotated[Ports, Depends(command_ports)],
) -> Response:
    """Place an order for any customer, at the prices that the body states."""
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
    openapi_extra=request_body(CancellationBody),
    response_class=Response,
)
async def post_cancellation(
    *,
    http: HttpRequest,
    actor: Annotated[Actor, Depends(allow(Role.CUSTOMER, Role.SERVICE, Role.MERCHANT))],
    _none: Annotated[None, Depends(no_parameters)],
    order: Annotated[OrderId, Depends(order_id)],
    key: Annotated[str | None, Depends(idempotency_key)],
    if_position: Annotated[int | None, Depends(if_match)],
    body: Annotated[JsonBody[CancellationBody], Depends(json_body(CancellationBody))],
    ports: Annotated[Ports, Depends(command_ports)],
) -> Response:
    """Cancel all that is left, or the pieces in `lines`. A customer may cancel their own."""
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
    headers = {
        "Location": f"/v1/orders/{answer.order_id}",
        "ETag": entity_tag(answer.position),
        "Cache-Control": "no-store",
    }
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(
        orjson.dumps(
            {
                "order_id": answer.order_id,
                "order_number": answer.order_number,
                "version": answer.version,
                "position": answer.position,
                "status": str(answer.status),
            }
        ),
        status_code=201,
        headers=headers,
        media_type="application/json",
    )
