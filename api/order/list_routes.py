"""Lists of orders: by status, by customer, by time, and by the work that waits for people."""

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
from api.http.fields import Digits, Identifier128, Moment
from api.http.openapi import query, reads, responses
from api.http.parameters import parameters
from api.http.ready_json import ReadyJson
from api.order.cursor import LONGEST_CURSOR, read_cursor, write_cursor
from api.order.documents import OrderList
from api.order.for_customers import shown_body
from api.order.query_routes import CORRELATED, READERS
from api.order.state import query_ports
from api.order.views import PRIVATE
from domain.envelope import Actor, Role
from domain.ids import CustomerId
from domain.order.state import OrderStatus
from domain.payment.status import PaymentStatus
from domain.returns.status import ReturnStatus
from domain.shipment.status import FulfillmentStatus
from projections.order.lists import Work
from projections.ports import OrderPage, OrderQuery

router = APIRouter(tags=["orders"])

WORKERS = READERS - {Role.CUSTOMER}


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
    return ReadyJson(_write_page(wanted, page, actor), [PRIVATE])


def _customer(sent: str | None) -> CustomerId | None:
    return None if sent is None else CustomerId(sent)


def _text(value: StrEnum | None) -> str | None:
    return None if value is None else str(value)


def _filters(query: OrderQuery) -> Sequence[object]:
    """Give all that a cursor is bound to."""
    without = {"limit", "after"}
    return [getattr(query, one.name) for one in fields(query) if one.name not in without]


def _write_page(query: OrderQuery, page: OrderPage, reader: Actor) -> bytes:
    following = None if page.next_after is None else write_cursor(_filters(query), page.next_after)
    return b'{"items":[%b],"next_cursor":%b,"as_of_position":%d}' % (
        b",".join(shown_body(body, reader) for body in page.bodies),
        orjson.dumps(following),
        page.as_of_position,
    )
