"""`serve`: run one service in this process. The supervisor, a container, or a person starts it."""

import os
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
    "payment": "infrastructure.services.payment",
}


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}.")],
    *,
    port: Annotated[int, typer.Option(help="Where it answers: the API, or /healthz and /metrics.")],
) -> None:
    """Run one service in the foreground.

    Its settings are the environment's or, where that has none, those of the platform in this home.
    """
    if name not in SERVICES:
        raise LocalError(f"there is no service {name}: choose one of {', '.join(SERVICES)}")
    load_settings(name)
    # Only that one is imported: a relay needs no web framework.
    import_module(SERVICES[name]).serve(port)


def load_settings(service: str) -> None:
    """Take from the home what the supervisor would give this service, and no more.

    Where there is no home, what is missing is said by the settings themselves.
    """
    if "ORDERTRAIL_POSTGRES_URL" in os.environ:
        return
    from infrastructure.local.home import Home, load_home_environment
    from infrastructure.local.plan import kept_from

    if Home.current().environment_file.exists():
        load_home_environment(without=kept_from(service))
