"""Returns: asked for, approved, received, called off. The money goes back by itself."""

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.http.openapi import path, reads, responses
from api.http.receive import receive
from api.order.change_routes import CHANGERS, HEADERS, IF_MATCH, KEY, MERCHANTS, REFUSALS, answer
from api.order.change_schemas import ReasonBody
from api.order.targets import named_order, order_of
from api.returns.schemas import EmptyBody, ReturnAnswer, ReturnBody, ReturnReceiptBody
from commands.returns.returning import (
    RETURN,
    approve_return,
    cancel_return,
    receive_return,
    request_return,
)
from domain.ids import ReturnId

router = APIRouter(tags=["returns"])


@router.post(
    "/v1/orders/{order_id}/returns",
    status_code=201,
    summary="Ask to send pieces back",
    responses=responses(201, ReturnAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("order_id"), KEY, IF_MATCH, body=ReturnBody),
    response_class=Response,
)
async def post_return(http: HttpRequest) -> Response:
    """Ask for it. A customer may for their own order."""
    received = await receive(http, ReturnBody, CHANGERS, "POST /v1/orders/{id}/returns")
    command, target = received.content.to_command(), named_order(http, received)
    return answer(await request_return(target, command, received.request, received.ports))


@router.post(
    "/v1/returns/{return_id}/approvals",
    status_code=202,
    summary="Take a return",
    responses=responses(202, ReturnAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("return_id"), KEY, IF_MATCH, body=EmptyBody),
    response_class=Response,
)
async def post_approval(http: HttpRequest) -> Response:
    """Say that the shop takes it back."""
    received = await receive(http, EmptyBody, MERCHANTS, "POST /v1/returns/{id}/approvals")
    target, name = await order_of(http, received, RETURN)
    done = await approve_return(target, ReturnId(name), received.request, received.ports)
    return answer(done, status=202)


@router.post(
    "/v1/returns/{return_id}/receipts",
    status_code=202,
    summary="Take in what has come of a return",
    responses=responses(202, ReturnAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("return_id"), KEY, IF_MATCH, body=ReturnReceiptBody),
    response_class=Response,
)
async def post_return_receipt(http: HttpRequest) -> Response:
    """Take it in, all or a part; what was paid for it goes back to the customer."""
    received = await receive(http, ReturnReceiptBody, MERCHANTS, "POST /v1/returns/{id}/receipts")
    target, name = await order_of(http, received, RETURN)
    lines = [line.to_received() for line in received.content.lines]
    done = await receive_return(target, ReturnId(name), lines, received.request, received.ports)
    return answer(done, status=202)


@router.post(
    "/v1/returns/{return_id}/cancellations",
    status_code=201,
    summary="Call a return off",
    responses=responses(201, ReturnAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("return_id"), KEY, IF_MATCH, body=ReasonBody),
    response_class=Response,
)
async def post_return_cancellation(http: HttpRequest) -> Response:
    """Say that nothing more of it will come. A customer may for their own."""
    received = await receive(http, ReasonBody, CHANGERS, "POST /v1/returns/{id}/cancellations")
    target, name = await order_of(http, received, RETURN)
    reason = received.content.reason
    return answer(
        await cancel_return(target, ReturnId(name), reason, received.request, received.ports)
    )
