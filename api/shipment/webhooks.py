"""What carriers tell of parcels: no token, their own signature."""

import structlog
from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.http.observe import CORRELATION_ID
from api.http.problems import ProblemError, refused
from commands.ports import Ports, Request
from commands.shipment.carrier import CarrierWebhooks
from commands.shipment.webhook import record_carrier_scans
from domain.envelope import Actor, Role
from domain.errors import DomainError

router = APIRouter(tags=["webhooks"])

_log = structlog.get_logger(__name__)


@router.post(
    "/v1/webhooks/carriers/{carrier}",
    status_code=204,
    summary="For carriers",
    openapi_extra={"security": []},
    response_class=Response,
)
async def post_carrier_webhook(http: HttpRequest) -> Response:
    """Take in scans. 404 where none of them is of a parcel of ours; then nothing is stored."""
    carriers: dict[str, CarrierWebhooks] = http.app.state.carriers
    carrier = carriers.get(http.path_params["carrier"])
    if carrier is None:
        raise ProblemError(404, "unknown_carrier", "no such carrier is known here")
    ports: Ports = http.app.state.ports
    try:
        scans = carrier.parse_webhook(dict(http.headers), await http.body(), ports.clock.now())
    except DomainError as error:
        _log.warning("carrier_webhook_refused", carrier=carrier.name, code=error.code)
        raise
    name = str(ports.names.new_event_id())
    request = Request(
        actor=Actor(f"carrier {carrier.name}", Role.PROCESS),
        command_id=name,
        correlation_id=http.scope[CORRELATION_ID],
        route=f"webhooks/carriers/{carrier.name}",
    )
    refusals = await record_carrier_scans(scans, request, ports)
    for refusal in refusals:
        _log.warning("carrier_scan_refused", carrier=carrier.name, code=refusal.code)
    if refusals and len(refusals) == len(scans):
        raise refused(refusals[0])
    return Response(status_code=204)
