"""Writes: list a stock item, take in pieces, put a count right."""

from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.http.openapi import header, path, reads, responses
from api.http.receive import answered, receive
from api.inventory.paths import sku
from api.inventory.schemas import AdjustmentBody, ReceiptBody, StockAnswer, StockItemBody
from commands.inventory.stock import adjust_stock, list_item, receive_stock
from commands.ports import Answer
from domain.envelope import Role

router = APIRouter(tags=["stock"])

KEEPERS = frozenset({Role.MERCHANT, Role.SERVICE})
KEY = header("Idempotency-Key", "The same key and body give the first answer again.")
HEADERS = {"Location": "The item's address.", "ETag": "The position, quoted."}


@router.post(
    "/v1/stock-items",
    status_code=201,
    summary="Keep a sku at a location, or change its name, price or backorders",
    responses=responses(201, StockAnswer, HEADERS, 400, 409, 413, 415),
    openapi_extra=reads(KEY, body=StockItemBody),
    response_class=Response,
)
async def post_stock_item(http: HttpRequest) -> Response:
    """List it. The price is what a customer's own order pays."""
    received = await receive(http, StockItemBody, KEEPERS, "POST /v1/stock-items")
    command = received.content.to_command()
    return _answer(await list_item(command, received.request, received.ports))


@router.post(
    "/v1/stock-items/{sku:path}/receipts",
    status_code=201,
    summary="Take in pieces",
    responses=responses(201, StockAnswer, HEADERS, 400, 404, 409, 413, 415),
    openapi_extra=reads(path("sku"), KEY, body=ReceiptBody),
    response_class=Response,
)
async def post_receipt(http: HttpRequest) -> Response:
    """Add pieces to what there is; backorders get them first."""
    received = await receive(http, ReceiptBody, KEEPERS, "POST /v1/stock-items/{sku}/receipts")
    body = received.content
    return _answer(
        await receive_stock(
            sku(http), body.to_location(), body.quantity, received.request, received.ports
        )
    )


@router.post(
    "/v1/stock-items/{sku:path}/adjustments",
    status_code=201,
    summary="Put a count right",
    responses=responses(201, StockAnswer, HEADERS, 400, 404, 409, 413, 415),
    openapi_extra=reads(path("sku"), KEY, body=AdjustmentBody),
    response_class=Response,
)
async def post_adjustment(http: HttpRequest) -> Response:
    """Say that there are more pieces than was thought, or fewer, and why."""
    received = await receive(
        http, AdjustmentBody, KEEPERS, "POST /v1/stock-items/{sku}/adjustments"
    )
    body = received.content
    return _answer(
        await adjust_stock(
            sku(http), body.to_location(), body.to_adjustment(), received.request, received.ports
        )
    )


def _answer(answer: Answer) -> Response:
    return answered(answer, f"/v1/stock-items/{quote(str(answer.body['sku']), safe='')}")
