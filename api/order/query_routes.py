"""Reads: one order, a list, a history. Documents go out as the projection wrote them."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from api.http.access import allow, forbidden, owner
from api.http.fields import Digits, Identifier128
from api.http.headers import entity_tag, none_match, preferred_wait_s
from api.http.openapi import Responses, responses
from api.http.problems import not_found
from api.order.cursor import LONGEST_CURSOR, resume, write_cursor
from api.order.documents import OrderDocument, OrderHistoryDocument, OrderList
from api.order.paths import no_parameters, order_id
from api.order.state import query_ports
from domain.envelope import Actor, Role
from domain.ids import CustomerId, OrderId
from domain.order.state import OrderStatus
from projections.ports import HistoryItem, OrderPage, OrderQuery, QueryPorts

router = APIRouter(tags=["orders"])

LARGEST_POSITION = 2**63 - 1
READERS = (Role.CUSTOMER, Role.SUPPORT, Role.MERCHANT, Role.SERVICE)
PRIVATE = {"Cache-Control": "private, no-cache"}
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


@router.head("/v1/orders/{order_id}", include_in_schema=False)
@router.get(
    "/v1/orders/{order_id}",
    summary="See an order",
    responses=responses(200, OrderDocument, HEADERS, 404) | NOT_MODIFIED,
    response_class=Response,
)
async def get_order(
    *,
    request: Request,
    actor: Annotated[Actor, Depends(allow(*READERS))],
    order: Annotated[OrderId, Depends(order_id)],
    ports: Annotated[QueryPorts, Depends(query_ports)],
    parameters: Annotated[OrderParameters, Query()],
    _if_none_match: Annotated[str | None, Header(alias="If-None-Match")] = None,
    _prefer: Annotated[
        str | None, Header(alias="Prefer", description="`wait=SECONDS`, 10 at most (RFC 7240)")
    ] = None,
) -> Response:
    """Give the order as of `min_position` or later; a customer sees their own."""
    view = await ports.views.find(
        order, min_position=parameters.min_position, wait_s=preferred_wait_s(request)
    )
    if view is None or owner(actor) not in (None, view.customer_id):
        raise not_found()
    tag = entity_tag(view.position)
    headers = {"ETag": tag, "Order-View": view.source, **PRIVATE}
    if none_match(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(view.body, headers=headers, media_type="application/json")


@router.head("/v1/orders", include_in_schema=False)
@router.get(
    "/v1/orders",
    summary="List orders",
    responses=responses(200, OrderList, CORRELATED),
    response_class=Response,
)
async def list_orders(
    actor: Annotated[Actor, Depends(allow(*READERS))],
    ports: Annotated[QueryPorts, Depends(query_ports)],
    parameters: Annotated[ListParameters, Query()],
) -> Response:
    """List orders, newest first, from the read models; a customer's list is of their own."""
    bound_to = owner(actor)
    if bound_to is not None and parameters.customer_id not in (None, bound_to):
        raise forbidden("not_your_orders", "a customer may list their own orders only")
    query = OrderQuery(
        customer_id=bound_to or _customer(parameters.customer_id),
        status=None if parameters.status is None else str(parameters.status),
        external_reference=parameters.external_reference,
        limit=parameters.limit,
        after=None,
    )
    if parameters.cursor is not None:
        query = resume(query, parameters.cursor)
    page = await ports.views.list(query)
    return Response(_write_page(query, page), headers=PRIVATE, media_type="application/json")


@router.head("/v1/orders/{order_id}/history", include_in_schema=False)
@router.get(
    "/v1/orders/{order_id}/history",
    summary="See everything that happened to an order",
    responses=responses(200, OrderHistoryDocument, CORRELATED, 404),
    response_class=Response,
)
async def get_history(
    actor: Annotated[Actor, Depends(allow(*READERS, Role.AUDITOR))],
    _none: Annotated[None, Depends(no_parameters)],
    order: Annotated[OrderId, Depends(order_id)],
    ports: Annotated[QueryPorts, Depends(query_ports)],
) -> Response:
    """Give every event, oldest first, from the event store. Auditors see no personal data."""
    page = await ports.history.history(order, show_personal=actor.role is not Role.AUDITOR)
    if page is None or owner(actor) not in (None, page.customer_id):
        raise not_found()
    document = {"items": [_history_item(item) for item in page.items], "next_cursor": None}
    return Response(
        orjson.dumps(document, option=orjson.OPT_UTC_Z),
        headers=PRIVATE,
        media_type="application/json",
    )


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
