"""One order, now or in the past. Its document is as the projection wrote it."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http.access import authorize, owner, require_role
from api.http.direct import DirectRoute
from api.http.headers import preferred_wait_s
from api.http.openapi import Responses, header, path, query, reads, responses
from api.http.parameters import parameters
from api.http.problems import not_found
from api.order.documents import OrderDifferenceDocument
from api.order.order_document import OrderDocument
from api.order.past import OrderParameters, answer_past
from api.order.paths import order_id
from api.order.state import query_ports
from api.order.views import answer_view
from domain.envelope import Role

router = APIRouter(tags=["orders"])

READERS = frozenset({Role.CUSTOMER, Role.SUPPORT, Role.MERCHANT, Role.SERVICE})
READERS_OF_THE_PAST = READERS | {Role.AUDITOR}
CORRELATED = {"X-Correlation-ID": "The request's name in logs."}
HEADERS = {
    "ETag": "The position of the last event in it, quoted.",
    "Order-View": "Where it came from: `redis` or `event-store`.",
    **CORRELATED,
}
NOT_MODIFIED: Responses = {304: {"description": "It is as `If-None-Match` says."}}


NO_PARAMETERS = OrderParameters()
WHICH_ORDER = (
    path("order_id"),
    *query(OrderParameters),
    header("If-None-Match", "The ETag of the view that the caller has."),
    header("Prefer", "`wait=SECONDS`, 10 at most (RFC 7240)"),
)


@router.head("/v1/orders/{order_id}", include_in_schema=False)
@router.get(
    "/v1/orders/{order_id}",
    summary="See an order",
    responses=responses(200, (OrderDocument, OrderDifferenceDocument), HEADERS, 404) | NOT_MODIFIED,
    openapi_extra=reads(*WHICH_ORDER),
    response_class=Response,
)
async def get_order(request: Request) -> Response:
    """Give the order as of `min_position` or later; a customer sees their own.

    With `as_of` or `at_position`: as it was then, from the event store. With `diff_from`: what
    changed since. These are for auditors too, without personal data.
    """
    is_plain = not request.scope["query_string"]
    actor = authorize(request, READERS if is_plain else READERS_OF_THE_PAST)
    order = order_id(request)
    asked = NO_PARAMETERS
    if not is_plain:
        asked = parameters(request, OrderParameters)
        if asked.is_about_the_past():
            return await answer_past(request, actor, order, asked)
        require_role(actor, READERS)
    view = await query_ports(request).views.find(
        order,
        owner=owner(actor),
        min_position=asked.min_position,
        wait_s=preferred_wait_s(request),
    )
    if view is None:
        raise not_found()
    return answer_view(request, view, actor)


DIRECT = (DirectRoute("GET", "/v1/orders/{order_id}", get_order),)
"""Routes that the app answers without its router."""
