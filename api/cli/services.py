"""`serve`: run one service in this process. The supervisor, or a container, starts it."""

from importlib import import_module
from typing import Annotated

import typer

from infrastructure.local.errors import LocalError

SERVICES = {
    "command-api": "api.command_app",
    "query-api": "api.query_app",
    "relay": "infrastructure.processes.relay",
    "projector": "infrastructure.processes.projector",
    "sealer": "infrastructure.processes.sealer",
    "fulfilment": "infrastructure.services.fulfilment",
    "inventory": "infrastructure.services.inventory",
}


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}.")],
    *,
    port: Annotated[int, typer.Option(help="Where it answers: the API, or /healthz and /metrics.")],
) -> None:
    """Run one service in the foreground, with settings from the environment only."""
    if name not in SERVICES:
        raise LocalError(f"there is no service {name}: choose one of {', '.join(SERVICES)}")
    # Only that one is imported: a relay needs no web framework.
    import_module(SERVICES[name]).serve(port)
