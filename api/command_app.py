"""The command API: everything that changes something. Served as a process of its own."""

from fastapi import FastAPI

from api.http.openapi import Documentation
from api.http.readiness import Readiness
from api.http.surface import create_surface
from api.order import command_routes
from api.order.documents import CommandAnswer
from api.order.resources import RESOURCES
from api.order.schemas import CancellationBody, PlaceOrderBody
from api.order.state import CommandState

ENOUGH = (frozenset({"postgres"}),)
"""Commands need the event store, and nothing else."""

DOCUMENTATION = Documentation(
    title="Ordertrail commands",
    description="Place and cancel orders. Reads are in the query API, on the same origin.",
    url="/openapi/commands.json",
    models=(PlaceOrderBody, CancellationBody, CommandAnswer),
)


def create_command_app(state: CommandState) -> FastAPI:
    app = create_surface(
        (command_routes.router,),
        documentation=DOCUMENTATION,
        resources=RESOURCES,
        authenticator=state.authenticator,
        readiness=Readiness(state.checks, enough=ENOUGH),
    )
    app.state.ports = state.ports
    return app
