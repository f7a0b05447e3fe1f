"""The history of an order: who changed what, when and why, page by page."""

from typing import Annotated

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from api.http.access import authorize, owner
from api.http.fields import LARGEST_POSITION, Digits
from api.http.openapi import path, query, reads, responses
from api.http.parameters import parameters
from api.http.problems import not_found
from api.http.ready_json import ReadyJson
from api.order.cursor import LONGEST_CURSOR, bad_cursor, read_cursor, write_cursor
from api.order.documents import OrderHistoryDocument
from api.order.for_customers import shown_actor, shown_changes, shown_words
from api.order.past import shows_personal
from api.order.paths import order_id
from api.order.query_routes import CORRELATED, READERS_OF_THE_PAST
from api.order.state import query_ports
from api.order.views import PRIVATE
from domain.envelope import Actor
from domain.ids import OrderId
from projections.ports import HistoryItem

router = APIRouter(tags=["orders"])


class HistoryParameters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Digits, Field(ge=1, le=100)] = 100
    cursor: Annotated[str, Field(max_length=LONGEST_CURSOR)] | None = None


@router.head("/v1/orders/{order_id}/history", include_in_schema=False)
@router.get(
    "/v1/orders/{order_id}/history",
    summary="See everything that happened to an order",
    responses=responses(200, OrderHistoryDocument, CORRELATED, 404),
    openapi_extra=reads(path("order_id"), *query(HistoryParameters)),
    response_class=Response,
)
async def get_history(request: Request) -> Response:
    """Give every event, oldest first, from the event store. Auditors see no personal data.

    Customers see of staff the role, and not the words that are not told them elsewhere.
    """
    actor = authorize(request, READERS_OF_THE_PAST)
    order = order_id(request)
    asked = parameters(request, HistoryParameters)
    page = await query_ports(request).history.history(
        order,
        show_personal=shows_personal(actor),
        after=0 if asked.cursor is None else _position(order, asked.cursor),
        limit=asked.limit,
    )
    if page is None or owner(actor) not in (None, page.customer_id):
        raise not_found()
    document = {
        "items": [_item(item, actor) for item in page.items],
        "next_cursor": write_cursor(_list(order), str(page.items[-1].position))
        if page.has_more
        else None,
    }
    return ReadyJson(orjson.dumps(document, option=orjson.OPT_UTC_Z), [PRIVATE])


def _list(order: OrderId) -> tuple[str, str]:
    return ("history", str(order))


def _position(order: OrderId, cursor: str) -> int:
    after = read_cursor(_list(order), cursor)
    if not (after.isascii() and after.isdigit()) or int(after) > LARGEST_POSITION:
        raise bad_cursor()
    return int(after)


def _item(item: HistoryItem, reader: Actor) -> dict[str, object]:
    return {
        "position": item.position,
        "event_id": item.event_id,
        "type": item.type,
        "stream": item.stream,
        "version": item.version,
        "occurred_at": item.occurred_at,
        "recorded_at": item.recorded_at,
        "actor": shown_actor(item, reader),
        "correlation_id": item.correlation_id,
        "causation_id": item.causation_id,
        "command_id": item.command_id,
        **shown_words(item, reader),
        "changes": shown_changes(item.changes, reader),
    }
