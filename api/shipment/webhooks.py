"""What carriers tell of parcels: no token, their own signature."""

from collections import Counter

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
    """Take in scans. Where none of them can be, the answer says why, and nothing is stored."""
    carriers: dict[str, CarrierWebhooks] = http.app.state.carriers
    carrier = carriers.get(http.path_params["carrier"])
    if carrier is None:
        _log.warning("carrier_webhook_refused", carrier=None, code="unknown_carrier")
        raise ProblemError(404, "unknown_carrier", "no such carrier is known here")
    ports: Ports = http.app.state.ports
    name = str(ports.names.new_event_id())
    request = Request(
        actor=Actor(f"carrier {carrier.name}", Role.PROCESS),
        command_id=name,
        correlation_id=http.scope[CORRELATION_ID],
        route=f"webhooks/carriers/{carrier.name}",
    )
    try:
        scans = carrier.parse_webhook(dict(http.headers), await http.body(), ports.clock.now())
        refusals = await record_carrier_scans(scans, request, ports)
    except DomainError as error:
        _log.warning("carrier_webhook_refused", carrier=carrier.name, code=error.code)
        raise
    for code, count in Counter(refusal.code for refusal in refusals).items():
        _log.warning("carrier_scans_refused", carrier=carrier.name, code=code, scans=count)
    if refusals and len(refusals) == len(scans):
        raise refused(refusals[0])
    return Response(status_code=204)
