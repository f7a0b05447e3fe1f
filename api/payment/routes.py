"""Money: what people give back, and what the provider tells by webhook."""

import structlog
from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api.http.openapi import path, reads, responses
from api.http.problems import REFUSED, STATUSES, ProblemError
from api.http.receive import answered, receive
from api.order.change_routes import HEADERS, IF_MATCH, KEY, MERCHANTS, REFUSALS
from api.order.paths import order_id
from api.payment.schemas import RefundAnswer, RefundBody
from commands.payment.gateway import (
    GatewayUnknownError,
    PaymentGateway,
    ProviderEvent,
    WebhookRefusedError,
)
from commands.payment.refund import AskRefund, ask_refund
from commands.payment.webhook import record_provider_event
from domain.errors import DomainError

router = APIRouter(tags=["payments"])
webhooks = APIRouter(tags=["webhooks"])

_REFUSED = {
    "bad_signature": (401, "bad_signature"),
    "old_timestamp": (401, "stale_webhook"),
    "malformed": (400, "unreadable_webhook"),
    "unknown_object": (404, "unknown_object"),
}
_log = structlog.get_logger(__name__)


@router.post(
    "/v1/payments/{order_id}/refunds",
    status_code=202,
    summary="Give money back",
    responses=responses(202, RefundAnswer, HEADERS, *REFUSALS),
    openapi_extra=reads(path("order_id"), KEY, IF_MATCH, body=RefundBody),
    response_class=Response,
)
async def post_refund(http: HttpRequest) -> Response:
    """Ask the provider to give captured money back. A payment has the id of its order."""
    received = await receive(
        http, RefundBody, MERCHANTS, "POST /v1/payments/{id}/refunds", key_needed=True
    )
    body = received.content
    asked = AskRefund(
        order_id(http), body.amount_minor, body.currency, body.reason, received.if_position
    )
    done = await ask_refund(asked, received.request, received.ports)
    return answered(done, f"/v1/orders/{done.order_id}", status=202)


@webhooks.post(
    "/v1/webhooks/payments/{provider}",
    status_code=204,
    summary="For the payment provider",
    openapi_extra={"security": []},
    response_class=Response,
)
async def post_payment_webhook(http: HttpRequest) -> Response:
    """Take in what the provider says; each of its events counts once, however often it comes.

    It is not to be called by anybody else: its signature is looked at, no token.
    """
    gateway: PaymentGateway = http.app.state.gateway
    event: ProviderEvent | None = None
    if http.path_params["provider"] != gateway.name:
        raise _refused(404, "unknown_provider")
    try:
        event = await gateway.parse_webhook(dict(http.headers), await http.body())
        if event is not None:
            await record_provider_event(event, gateway.name, http.app.state.ports)
    except WebhookRefusedError as error:
        raise _refused(*_REFUSED[error.reason]) from error
    except DomainError as error:
        raise _refused(STATUSES.get(error.code, REFUSED), error.code, event) from error
    except GatewayUnknownError as error:
        raise ProblemError(503, "provider_unavailable", "send it again later") from error
    return Response(status_code=204)


def _refused(status: int, code: str, event: ProviderEvent | None = None) -> ProblemError:
    """Log it, and say no more than the code: a rule's own words may repeat what was sent."""
    order_id = None if event is None else str(event.order_id)
    _log.warning("payment_webhook_refused", code=code, order_id=order_id)
    return ProblemError(status, code, "this webhook is refused")
