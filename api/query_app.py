"""The query API: everything that is read. Served as a process of its own."""

from fastapi import FastAPI

from api.http import docs
from api.http.openapi import Documentation
from api.http.readiness import Readiness
from api.http.surface import create_surface
from api.order import query_routes
from api.order.documents import OrderDocument, OrderHistoryDocument, OrderList
from api.order.resources import RESOURCES
from api.order.state import QueryState

ENOUGH = (frozenset({"redis"}), frozenset({"postgres"}))
"""With Redis it gives views; with the event store alone it folds one order at a time."""

DOCUMENTATION = Documentation(
    title="Ordertrail queries",
    description="Read orders, lists and histories. Writes are in the command API, on the same "
    "origin.",
    url="/openapi/queries.json",
    models=(OrderDocument, OrderList, OrderHistoryDocument),
)


def create_query_app(state: QueryState) -> FastAPI:
    app = create_surface(
        (query_routes.router, docs.router),
        documentation=DOCUMENTATION,
        resources=RESOURCES,
        authenticator=state.authenticator,
        readiness=Readiness(state.checks, enough=ENOUGH),
    )
    app.state.ports = state.ports
    return app
