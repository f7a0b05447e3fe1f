"""The query API: everything that is read. Served as a process of its own."""

import asyncio

import uvloop
from fastapi import FastAPI

from api.http import docs
from api.http.auth import Authenticator
from api.http.openapi import Documentation
from api.http.readiness import Readiness
from api.http.server import serve_until_stopped
from api.http.surface import create_surface
from api.inventory import query_routes as stock_routes
from api.inventory.schemas import StockDocument
from api.order import history_routes, list_routes, query_routes
from api.order.documents import (
    OrderDifferenceDocument,
    OrderHistoryDocument,
    OrderList,
)
from api.order.order_document import OrderDocument
from api.order.resources import RESOURCES
from api.order.state import QueryState
from infrastructure.composition import lag_meter, query_side, service_meter
from infrastructure.observability.access_log import AccessLog
from infrastructure.observability.lag_gauges import LagGauges, ServiceGauges
from infrastructure.observability.logging import configure_logging
from infrastructure.settings import Settings

ENOUGH = (frozenset({"redis"}), frozenset({"postgres"}))
"""With Redis it gives views; with the event store alone it folds one order at a time."""

DOCUMENTATION = Documentation(
    title="Ordertrail queries",
    description="Read orders, lists and histories. Writes are in the command API, on the same "
    "origin.",
    url="/openapi/queries.json",
    models=(
        OrderDocument,
        OrderDifferenceDocument,
        OrderList,
        OrderHistoryDocument,
        list_routes.ListParameters,
        StockDocument,
    ),
)


def create_query_app(state: QueryState) -> FastAPI:
    app = create_surface(
        (
            query_routes.router,
            list_routes.router,
            history_routes.router,
            stock_routes.router,
            docs.router,
        ),
        direct=query_routes.DIRECT,
        documentation=DOCUMENTATION,
        resources=RESOURCES,
        authenticator=state.authenticator,
        readiness=Readiness(state.checks, enough=ENOUGH),
        access_log=state.access_log,
        refreshes=state.refreshes,
    )
    app.state.ports = state.ports
    return app


def serve(port: int) -> None:
    """Run this app in this process until SIGTERM; settings are from the environment."""
    configure_logging("query-api")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Settings(), port))


async def _serve(settings: Settings, port: int) -> None:
    tokens = settings.tokens
    authenticator = Authenticator(
        tokens.jwks_file.read_bytes, issuer=tokens.token_issuer, audience=tokens.token_audience
    )
    lag = LagGauges(lag_meter(settings).measure)
    services = ServiceGauges(service_meter(settings).measure)
    access_log = AccessLog("query-api")
    async with query_side(settings) as (ports, checks):
        app = create_query_app(
            QueryState(ports, authenticator, checks, (lag.refresh, services.refresh), access_log)
        )
        await serve_until_stopped(app, host=settings.http.http_host, port=port)
