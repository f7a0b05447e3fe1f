"""Reads: what there is of a sku."""

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http.access import authorize
from api.http.openapi import path, reads, responses
from api.http.parameters import no_parameters
from api.http.ready_json import ReadyJson
from api.inventory.paths import no_such_item, sku
from api.inventory.schemas import StockDocument
from api.order.state import query_ports
from domain.envelope import Role

router = APIRouter(tags=["stock"])

READERS = frozenset({Role.SUPPORT, Role.MERCHANT, Role.SERVICE})
NO_STORE = (b"cache-control", b"no-store")


@router.head("/v1/stock-items/{sku:path}", include_in_schema=False)
@router.get(
    "/v1/stock-items/{sku:path}",
    summary="See what there is of a sku",
    responses=responses(200, StockDocument, {}, 404),
    openapi_extra=reads(path("sku")),
    response_class=Response,
)
async def get_stock_item(request: Request) -> Response:
    """Give its pieces at every location, from the event store: never older than the last answer."""
    authorize(request, READERS)
    no_parameters(request)
    named = sku(request)
    levels = await query_ports(request).stock.find(named)
    if not levels:
        raise no_such_item()
    document = {
        "sku": named,
        "on_hand": sum(level.on_hand for level in levels),
        "available": sum(level.available for level in levels),
        "locations": levels,
    }
    return ReadyJson(orjson.dumps(document), [NO_STORE])
