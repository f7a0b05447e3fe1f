"""The command API: everything that changes something. Served as a process of its own."""

import asyncio

import uvloop
from fastapi import FastAPI

from api.http.auth import Authenticator
from api.http.openapi import Documentation
from api.http.readiness import Readiness
from api.http.server import serve_until_stopped
from api.http.surface import create_surface
from api.inventory import command_routes as stock_routes
from api.inventory.schemas import AdjustmentBody, ReceiptBody, StockAnswer, StockItemBody
from api.order import change_routes, command_routes
from api.order.change_schemas import AddressChangeBody, HoldBody, ReasonBody, RevisionBody
from api.order.documents import CommandAnswer
from api.order.resources import RESOURCES
from api.order.schemas import CancellationBody, PlaceOrderBody, PlaceOwnOrderBody
from api.order.state import CommandState
from api.payment import routes as payment_routes
from api.payment.schemas import RefundAnswer, RefundBody
from api.returns import routes as return_routes
from api.returns.schemas import EmptyBody, ReturnAnswer, ReturnBody, ReturnReceiptBody
from api.shipment import routes as shipment_routes
from api.shipment import webhooks as carrier_webhooks
from api.shipment.schemas import DispatchBody, ShipmentAnswer, ShipmentBody, TrackingBody
from infrastructure.composition import carrier_webhooks_of, command_side, payment_gateway
from infrastructure.observability.access_log import AccessLog
from infrastructure.observability.logging import configure_logging
from infrastructure.settings import Settings

ENOUGH = (frozenset({"postgres"}),)
"""Commands need the event store, and nothing else."""

DOCUMENTATION = Documentation(
    title="Ordertrail commands",
    description="Place and cancel orders. Reads are in the query API, on the same origin.",
    url="/openapi/commands.json",
    models=(
        PlaceOrderBody,
        PlaceOwnOrderBody,
        CancellationBody,
        CommandAnswer,
        AddressChangeBody,
        HoldBody,
        ReasonBody,
        RevisionBody,
        ShipmentBody,
        DispatchBody,
        TrackingBody,
        ShipmentAnswer,
        ReturnBody,
        EmptyBody,
        ReturnReceiptBody,
        ReturnAnswer,
        RefundBody,
        RefundAnswer,
        StockItemBody,
        ReceiptBody,
        AdjustmentBody,
        StockAnswer,
    ),
)


def create_command_app(state: CommandState) -> FastAPI:
    app = create_surface(
        (
            command_routes.router,
            change_routes.router,
            shipment_routes.router,
            return_routes.router,
            payment_routes.router,
            payment_routes.webhooks,
            carrier_webhooks.router,
            stock_routes.router,
        ),
        direct=command_routes.DIRECT,
        documentation=DOCUMENTATION,
        resources=RESOURCES,
        authenticator=state.authenticator,
        readiness=Readiness(state.checks, enough=ENOUGH),
        access_log=state.access_log,
    )
    app.state.ports = state.ports
    app.state.gateway = state.gateway
    app.state.carriers = state.carriers
    return app


def serve(port: int) -> None:
    """Run this app in this process until SIGTERM; settings are from the environment."""
    configure_logging("command-api")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Settings(), port))


async def _serve(settings: Settings, port: int) -> None:
    tokens = settings.tokens
    authenticator = Authenticator(
        tokens.jwks_file.read_bytes, issuer=tokens.token_issuer, audience=tokens.token_audience
    )
    access_log = AccessLog("command-api")
    async with (
        command_side(settings) as (ports, checks),
        payment_gateway(settings) as gateway,
    ):
        app = create_command_app(
            CommandState(
                ports,
                gateway,
                carrier_webhooks_of(settings.carriers),
                authenticator,
                checks,
                access_log,
            )
        )
        await serve_until_stopped(app, host=settings.http.http_host, port=port)
