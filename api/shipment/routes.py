"""Parcels: packed, dispatched, scanned, unpacked."""

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.http.openapi import path, reads, responses
from api.http.receive import receive
from api.order.change_routes import HEADERS, IF_MATCH, KEY, MERCHANTS, REFUSALS, answer
from api.order.change_schemas import ReasonBody
from api.order.targets import named_order, order_of
from api.shipment.schemas import DispatchBody, ShipmentAnswer, ShipmentBody, TrackingBody
from commands.shipment.packing import (
    SHIPMENT,
    cancel_shipment,
    create_shipment,
    dispatch_shipment,
)
from commands.shipment.tracking import record_scan
from domain.ids import ShipmentId

router = APIRouter(tags=["shipments"])


@router.post(
    "/v1/orders/{order_id}/shipments",
    status_code=201,
    summary="Pack a parcel",
    responses=responses(201, ShipmentAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("order_id"), KEY, IF_MATCH, body=ShipmentBody),
    response_class=Response,
)
async def post_shipment(http: HttpRequest) -> Response:
    """Set pieces aside for a parcel."""
    received = await receive(http, ShipmentBody, MERCHANTS, "POST /v1/orders/{id}/shipments")
    lines = [line.to_line() for line in received.content.lines]
    target = named_order(http, received)
    return answer(await create_shipment(target, lines, received.request, received.ports))


@router.post(
    "/v1/shipments/{shipment_id}/dispatches",
    status_code=201,
    summary="Hand a parcel to its carrier",
    responses=responses(201, ShipmentAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("shipment_id"), KEY, IF_MATCH, body=DispatchBody),
    response_class=Response,
)
async def post_dispatch(http: HttpRequest) -> Response:
    """Dispatch it; its share of the money is taken now."""
    received = await receive(http, DispatchBody, MERCHANTS, "POST /v1/shipments/{id}/dispatches")
    target, shipment = await order_of(http, received, SHIPMENT)
    dispatch = received.content.to_dispatch()
    return answer(
        await dispatch_shipment(
            target, ShipmentId(shipment), dispatch, received.request, received.ports
        )
    )


@router.post(
    "/v1/shipments/{shipment_id}/events",
    status_code=201,
    summary="Say where a parcel is",
    responses=responses(201, ShipmentAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("shipment_id"), KEY, IF_MATCH, body=TrackingBody),
    response_class=Response,
)
async def post_tracking_event(http: HttpRequest) -> Response:
    """Record a scan; late ones, and ones that are known, do no harm."""
    received = await receive(http, TrackingBody, MERCHANTS, "POST /v1/shipments/{id}/events")
    target, shipment = await order_of(http, received, SHIPMENT)
    scan = received.content.to_scan()
    return answer(
        await record_scan(target, ShipmentId(shipment), scan, received.request, received.ports)
    )


@router.post(
    "/v1/shipments/{shipment_id}/cancellations",
    status_code=201,
    summary="Unpack a parcel",
    responses=responses(201, ShipmentAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("shipment_id"), KEY, IF_MATCH, body=ReasonBody),
    response_class=Response,
)
async def post_shipment_cancellation(http: HttpRequest) -> Response:
    """Unpack it before it leaves; its pieces may go into another one."""
    received = await receive(http, ReasonBody, MERCHANTS, "POST /v1/shipments/{id}/cancellations")
    target, shipment = await order_of(http, received, SHIPMENT)
    reason = received.content.reason
    return answer(
        await cancel_shipment(
            target, ShipmentId(shipment), reason, received.request, received.ports
        )
    )
