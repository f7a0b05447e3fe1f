"""What changes an order that was placed: holds, another address, fewer pieces."""

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.http.openapi import header, path, reads, responses
from api.http.receive import answered, receive
from api.order.change_schemas import AddressChangeBody, HoldBody, ReasonBody, RevisionBody
from api.order.documents import CommandAnswer
from api.order.targets import named_order
from commands.order.hold import hold_order, release_hold
from commands.order.revise import change_address, revise_order
from commands.ports import Answer
from domain.envelope import Role

router = APIRouter(tags=["orders"])

CHANGERS = frozenset({Role.CUSTOMER, Role.SERVICE, Role.MERCHANT})
MERCHANTS = frozenset({Role.MERCHANT})
HEADERS = {"Location": "The order's address.", "ETag": "The position, quoted."}
KEY = header("Idempotency-Key", "The same key and body give the first answer again.")
IF_MATCH = header("If-Match", "The ETag of the view that this decision rests on.")
REFUSALS = (400, 404, 409, 412, 413, 415)


@router.post(
    "/v1/orders/{order_id}/holds",
    status_code=201,
    summary="Keep an order in the building",
    responses=responses(201, CommandAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("order_id"), KEY, IF_MATCH, body=HoldBody),
    response_class=Response,
)
async def post_hold(http: HttpRequest) -> Response:
    """Hold it: no parcel is packed or leaves until the hold is released."""
    received = await receive(http, HoldBody, MERCHANTS, "POST /v1/orders/{id}/holds")
    target, reason = named_order(http, received), received.content.reason
    return answer(await hold_order(target, reason, received.request, received.ports))


@router.post(
    "/v1/orders/{order_id}/hold-releases",
    status_code=201,
    summary="Let a held order go on",
    responses=responses(201, CommandAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("order_id"), KEY, IF_MATCH, body=ReasonBody),
    response_class=Response,
)
async def post_hold_release(http: HttpRequest) -> Response:
    """Release the hold."""
    received = await receive(http, ReasonBody, MERCHANTS, "POST /v1/orders/{id}/hold-releases")
    target, reason = named_order(http, received), received.content.reason
    return answer(await release_hold(target, reason, received.request, received.ports))


@router.post(
    "/v1/orders/{order_id}/address-changes",
    status_code=201,
    summary="Have an order sent elsewhere",
    responses=responses(201, CommandAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("order_id"), KEY, IF_MATCH, body=AddressChangeBody),
    response_class=Response,
)
async def post_address_change(http: HttpRequest) -> Response:
    """Change the address, as long as no parcel is on its way. A customer may change their own."""
    received = await receive(
        http, AddressChangeBody, CHANGERS, "POST /v1/orders/{id}/address-changes"
    )
    address = received.content.shipping_address.to_address()
    target = named_order(http, received)
    return answer(await change_address(target, address, received.request, received.ports))


@router.post(
    "/v1/orders/{order_id}/revisions",
    status_code=201,
    summary="Ask for fewer pieces",
    responses=responses(201, CommandAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("order_id"), KEY, IF_MATCH, body=RevisionBody),
    response_class=Response,
)
async def post_revision(http: HttpRequest) -> Response:
    """Want fewer pieces of some lines, and keep at least one of each."""
    received = await receive(http, RevisionBody, CHANGERS, "POST /v1/orders/{id}/revisions")
    body, target = received.content, named_order(http, received)
    return answer(
        await revise_order(target, body.to_lines(), body.reason, received.request, received.ports)
    )


def answer(given: Answer, *, status: int = 201) -> Response:
    """Say what was done, with the order's address."""
    return answered(given, f"/v1/orders/{given.order_id}", status=status)
