"""Reads: one order, a list, a history. Documents go out as the projection wrote them."""

from typing import Annotated

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from api.http.access import authorize, forbidden, owner
from api.http.direct import DirectRoute
from api.http.fields import Digits, Identifier128
from api.http.headers import entity_tag, none_match, preferred_wait_s
from api.http.openapi import Responses, header, path, query, reads, responses
from api.http.problems import not_found
from api.http.ready_json import ReadyJson
from api.order.cursor import LONGEST_CURSOR, resume, write_cursor
from api.order.documents import OrderDocument, OrderHistoryDocument, OrderList
from api.order.paths import no_parameters, order_id, parameters
from api.order.state import query_ports
from domain.envelope import Role
from domain.ids import CustomerId
from domain.order.state import OrderStatus
from projections.ports import HistoryItem, OrderPage, OrderQuery

router = APIRouter(tags=["orders"])

LARGEST_POSITION = 2**63 - 1
READERS = frozenset({Role.CUSTOMER, Role.SUPPORT, Role.MERCHANT, Role.SERVICE})
READERS_OF_HISTORY = READERS | {Role.AUDITOR}
PRIVATE = (b"cache-control", b"private, no-cache")
FROM = {"redis": (b"order-view", b"redis"), "event-store": (b"order-view", b"event-store")}
CORRELATED = {"X-Correlation-ID": "The request's name in logs."}
HEADERS = {
    "ETag": "The position of the last event in it, quoted.",
    "Order-View": "Where it came from: `redis` or `event-store`.",
    **CORRELATED,
}
NOT_MODIFIED: Responses = {304: {"description": "It is as `If-None-Match` says."}}


class OrderParameters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    min_position: Annotated[
        int,
        Digits,
        Field(le=LARGEST_POSITION, description="The answer has seen at least this log position"),
    ] = 0


class ListParameters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    customer_id: Identifier128 | None = None
    status: OrderStatus | None = None
    external_reference: Identifier128 | None = None
    limit: Annotated[int, Digits, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, Field(max_length=LONGEST_CURSOR)] | None = None


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
    responses=responses(200, OrderDocument, HEADERS, 404) | NOT_MODIFIED,
    openapi_extra=reads(*WHICH_ORDER),
    response_class=Response,
)
async def get_order(request: Request) -> Response:
    """Give the order as of `min_position` or later; a customer sees their own."""
    actor = authorize(request, READERS)
    order = order_id(request)
    asked = NO_PARAMETERS
    if request.scope["query_string"]:
        asked = parameters(request, OrderParameters)
    view = await query_ports(request).views.find(
        order, min_position=asked.min_position, wait_s=preferred_wait_s(request)
    )
    if view is None or owner(actor) not in (None, view.customer_id):
        raise not_found()
    tag = entity_tag(view.position)
    headers = [(b"etag", tag.encode()), FROM[view.source], PRIVATE]
    if none_match(request, tag):
        unchanged = Response(status_code=304)
        unchanged.raw_headers += headers
        return unchanged
    return ReadyJson(view.body, headers)


@router.head("/v1/orders", include_in_schema=False)
@router.get(
    "/v1/orders",
    summary="List orders",
    responses=responses(200, OrderList, CORRELATED),
    openapi_extra=reads(*query(ListParameters)),
    response_class=Response,
)
async def list_orders(request: Request) -> Response:
    """List orders, newest first, from the read models; a customer's list is of their own."""
    actor = authorize(request, READERS)
    asked = parameters(request, ListParameters)
    bound_to = owner(actor)
    if bound_to is not None and asked.customer_id not in (None, bound_to):
        raise forbidden("not_your_orders", "a customer may list their own orders only")
    wanted = OrderQuery(
        customer_id=bound_to or _customer(asked.customer_id),
        status=None if asked.status is None else str(asked.status),
        external_reference=asked.external_reference,
        limit=asked.limit,
        after=None,
    )
    if asked.cursor is not None:
        wanted = resume(wanted, asked.cursor)
    page = await query_ports(request).views.list(wanted)
    return ReadyJson(_write_page(wanted, page), [PRIVATE])


@router.head("/v1/orders/{order_id}/history", include_in_schema=False)
@router.get(
    "/v1/orders/{order_id}/history",
    summary="See everything that happened to an order",
    responses=responses(200, OrderHistoryDocument, CORRELATED, 404),
    openapi_extra=reads(path("order_id")),
    response_class=Response,
)
async def get_history(request: Request) -> Response:
    """Give every event, oldest first, from the event store. Auditors see no personal data."""
    actor = authorize(request, READERS_OF_HISTORY)
    no_parameters(request)
    order = order_id(request)
    show_personal = actor.role is not Role.AUDITOR
    page = await query_ports(request).history.history(order, show_personal=show_personal)
    if page is None or owner(actor) not in (None, page.customer_id):
        raise not_found()
    document = {"items": [_history_item(item) for item in page.items], "next_cursor": None}
    return ReadyJson(orjson.dumps(document, option=orjson.OPT_UTC_Z), [PRIVATE])


DIRECT = (DirectRoute("GET", "/v1/orders/{order_id}", get_order),)
"""Routes that the app answers without its router."""


def _customer(sent: str | None) -> CustomerId | None:
    return None if sent is None else CustomerId(sent)


def _write_page(query: OrderQuery, page: OrderPage) -> bytes:
    following = None if page.next_after is None else write_cursor(query, page.next_after)
    return b'{"items":[%b],"next_cursor":%b,"as_of_position":%d}' % (
        b",".join(page.bodies),
        orjson.dumps(following),
        page.as_of_position,
    )


def _history_item(item: HistoryItem) -> dict[str, object]:
    return {
        "position": item.position,
        "event_id": item.event_id,
        "type": item.type,
        "stream": item.stream,
        "version": item.version,
        "occurred_at": item.occurred_at,
        "recorded_at": item.recorded_at,
        "actor": {"subject": item.actor.subject, "role": str(item.actor.role)},
        "correlation_id": item.correlation_id,
        "causation_id": item.causation_id,
        "data": dict(item.data),
    }
