"""Reads: one order, now or in the past, and lists. Documents are as the projection wrote them."""

from collections.abc import Sequence
from dataclasses import fields, replace
from enum import StrEnum
from typing import Annotated

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from api.http.access import authorize, forbidden, owner, require_role
from api.http.direct import DirectRoute
from api.http.fields import Digits, Identifier128, Moment
from api.http.headers import preferred_wait_s
from api.http.openapi import Responses, header, path, query, reads, responses
from api.http.parameters import parameters
from api.http.problems import not_found
from api.http.ready_json import ReadyJson
from api.order.cursor import LONGEST_CURSOR, read_cursor, write_cursor
from api.order.documents import OrderDifferenceDocument, OrderList
from api.order.order_document import OrderDocument
from api.order.past import OrderParameters, answer_past
from api.order.paths import order_id
from api.order.state import query_ports
from api.order.views import PRIVATE, answer_view
from domain.envelope import Role
from domain.ids import CustomerId
from domain.order.state import OrderStatus
from domain.payment.status import PaymentStatus
from domain.returns.status import ReturnStatus
from domain.shipment.status import FulfillmentStatus
from projections.order.lists import Work
from projections.ports import OrderPage, OrderQuery

router = APIRouter(tags=["orders"])

READERS = frozenset({Role.CUSTOMER, Role.SUPPORT, Role.MERCHANT, Role.SERVICE})
WORKERS = READERS - {Role.CUSTOMER}
READERS_OF_THE_PAST = READERS | {Role.AUDITOR}
CORRELATED = {"X-Correlation-ID": "The request's name in logs."}
HEADERS = {
    "ETag": "The position of the last event in it, quoted.",
    "Order-View": "Where it came from: `redis` or `event-store`.",
    **CORRELATED,
}
NOT_MODIFIED: Responses = {304: {"description": "It is as `If-None-Match` says."}}


class ListParameters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    customer_id: Identifier128 | None = None
    status: OrderStatus | None = None
    payment_status: PaymentStatus | None = None
    fulfillment_status: FulfillmentStatus | None = None
    return_status: ReturnStatus | None = None
    work: Annotated[Work | None, Field(description="What waits for people; not for customers")] = (
        None
    )
    external_reference: Identifier128 | None = None
    created_from: Annotated[Moment | None, Field(description="Placed then or later")] = None
    created_to: Annotated[Moment | None, Field(description="Placed before then")] = None
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
    return answer_view(request, view)


@router.head("/v1/orders", include_in_schema=False)
@router.get(
    "/v1/orders",
    summary="List orders",
    responses=responses(200, OrderList, CORRELATED),
    openapi_extra=reads(*query(ListParameters)),
    response_class=Response,
)
async def list_orders(request: Request) -> Response:
    """List orders, newest first, from the read models; a customer's list is of their own.

    A page may hold fewer orders than `limit`, or none: it was the last if `next_cursor` is null.
    """
    actor = authorize(request, READERS)
    asked = parameters(request, ListParameters)
    if asked.work is not None:
        require_role(actor, WORKERS)
    bound_to = owner(actor)
    if bound_to is not None and asked.customer_id not in (None, bound_to):
        raise forbidden("not_your_orders", "a customer may list their own orders only")
    wanted = OrderQuery(
        customer_id=bound_to or _customer(asked.customer_id),
        status=_text(asked.status),
        external_reference=asked.external_reference,
        limit=asked.limit,
        after=None,
        payment_status=_text(asked.payment_status),
        fulfillment_status=_text(asked.fulfillment_status),
        return_status=_text(asked.return_status),
        work=_text(asked.work),
        created_from=asked.created_from,
        created_to=asked.created_to,
    )
    if asked.cursor is not None:
        wanted = replace(wanted, after=read_cursor(_filters(wanted), asked.cursor))
    page = await query_ports(request).views.list(wanted)
    return ReadyJson(_write_page(wanted, page), [PRIVATE])


DIRECT = (DirectRoute("GET", "/v1/orders/{order_id}", get_order),)
"""Routes that the app answers without its router."""


def _customer(sent: str | None) -> CustomerId | None:
    return None if sent is None else CustomerId(sent)


def _text(value: StrEnum | None) -> str | None:
    return None if value is None else str(value)


def _filters(query: OrderQuery) -> Sequence[object]:
    """Give all that a cursor is bound to."""
    without = {"limit", "after"}
    return [getattr(query, one.name) for one in fields(query) if one.name not in without]


def _write_page(query: OrderQuery, page: OrderPage) -> bytes:
    following = None if page.next_after is None else write_cursor(_filters(query), page.next_after)
    return b'{"items":[%b],"next_cursor":%b,"as_of_position":%d}' % (
        b",".join(page.bodies),
        orjson.dumps(following),
        page.as_of_position,
    )
