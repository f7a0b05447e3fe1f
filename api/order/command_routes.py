"""Writes: place an order, cancel it. Each answers with the log position of what it did."""

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.http.access import forbidden, owner
from api.http.direct import DirectRoute
from api.http.openapi import header, path, reads, responses
from api.http.receive import answered, receive, receive_by_role
from api.order.documents import CommandAnswer
from api.order.paths import order_id
from api.order.schemas import CancellationBody, PlaceOrderBody, PlaceOwnOrderBody
from commands.order.cancel import cancel_order
from commands.order.place import place_order
from commands.order.place_own import place_own_order
from commands.ports import Answer
from domain.envelope import Role
from domain.ids import CustomerId
from domain.order.state import OrderStatus

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
PLACERS: Mapping[Role, type[PlaceOrderBody | PlaceOwnOrderBody]] = {
    Role.SERVICE: PlaceOrderBody,
    Role.CUSTOMER: PlaceOwnOrderBody,
}
CANCELLATIONS = "/v1/orders/{id}/cancellations"


@router.post(
    "/v1/orders",
    status_code=201,
    summary="Place an order",
    responses=responses(201, CommandAnswer, HEADERS, 400, 409, 413, 415),
    openapi_extra=reads(KEY, body=(PlaceOrderBody, PlaceOwnOrderBody)),
    response_class=Response,
)
async def post_order(http: HttpRequest) -> Response:
    """Place an order.

    A service does for any customer, at the prices that it states; a customer for themselves, at
    the catalog's.
    """
    received = await receive_by_role(http, PLACERS, "POST /v1/orders", key_needed=True)
    body, request, ports = received.content, received.request, received.ports
    if isinstance(body, PlaceOwnOrderBody):
        own = body.to_own_command(CustomerId(received.actor.subject))
        return _answer(await place_own_order(own, request, ports))
    return _answer(await place_order(body.to_command(), request, ports))


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
    received = await receive(http, CancellationBody, CANCELLERS, f"POST {CANCELLATIONS}")
    actor = received.actor
    if received.content.cancelled_at is not None and actor.role is not Role.SERVICE:
        raise forbidden("role_not_allowed", "only a service may say when it was cancelled")
    command = received.content.to_command(
        order_id(http), owner=owner(actor), if_position=received.if_position
    )
    done = await cancel_order(command, received.request, received.ports)
    # Where stock and money have to go back first, it has only begun.
    begun = done.status == OrderStatus.CANCEL_PENDING
    return _answer(done, status=202 if begun else 201)


DIRECT = (DirectRoute("POST", "/v1/orders", post_order),)
"""Routes that the app answers without its router."""


def _answer(answer: Answer, *, status: int = 201) -> Response:
    return answered(answer, f"/v1/orders/{answer.order_id}", status=status)
