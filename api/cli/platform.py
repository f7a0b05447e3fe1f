"""`up`, `down`, `status`: the local platform as a whole."""

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from api.cli import behind
from api.cli.progress import Progress
from api.cli.services import SERVICES

NOT_RUNNING = 3
READY_TIMEOUT_S = 3.0
NOT_READY = ("starting", "unready")
LITTLE_BYTES = 20_000_000
SHOWN = ("name", "pid", "port", "state", "restarts")


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(down)
    app.command()(status)


def up(
    *,
    detach: Annotated[
        bool, typer.Option("-d", "--detach", help="Run in the background; return when it is ready.")
    ] = False,
) -> None:
    """Start the platform: PostgreSQL, Redis, Kafka, the services and the edge.

    Stays until Ctrl-C and stops everything then; with -d it goes on in the background.
    """
    from infrastructure.local import control
    from infrastructure.local.home import Home
    from infrastructure.local.lock import AlreadyHeldError
    from infrastructure.local.plan import platform_plan

    home = Home.current()
    if detach:
        with Progress() as progress:
            state, started = control.start_detached(home, progress.show)
        typer.echo(f"Ordertrail {'is up' if started else 'was up already'}: {state['url']}")
        _say_where(state["url"], "`./run status` shows its parts, `./run down` stops it.")
        return
    with Progress(on_ready=lambda url: _say_up(url)) as progress:  # noqa: PLW0108 - defined below
        try:
            control.run_platform(home, platform_plan, progress.show)
        except AlreadyHeldError:
            state = control.current_state(home) or {}
            where = f" on {state['url']}" if state.get("url") else ""
            sys.stderr.write(f"A platform is up already in {home.path}{where}.\n")
            raise typer.Exit(1) from None
    typer.echo("Ordertrail is down; its data is kept.")


def down() -> None:
    """Stop the platform. Its data is kept."""
    from infrastructure.local.control import stop_platform
    from infrastructure.local.home import Home

    home = Home.current()
    if stop_platform(home):
        typer.echo("Ordertrail is down; its data is kept.")
    else:
        typer.echo(f"No platform is running in {home.path}.")


def status(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")] = False,
) -> None:
    """Show each process, and how far Kafka, Redis and the services are behind.

    Exits with 3 where no platform is running.
    """
    from infrastructure.local.control import current_state
    from infrastructure.local.home import Home

    home = Home.current()
    state = current_state(home)
    found = None if state is None else behind.ask()
    if as_json:
        rows = [{name: row[name] for name in SHOWN} for row in state["processes"]] if state else []
        url = state["url"] if state else None
        typer.echo(json.dumps({"url": url, "processes": rows, **behind.to_json(found)}))
    elif state is None:
        typer.echo(f"No platform is running in {home.path}. `./run up` starts one.")
    else:
        _print_table(state)
        for row in state["processes"]:
            if row["state"] in NOT_READY and row["name"] in SERVICES:
                typer.echo(f"{row['name']} is not ready: {_problem(row['port'])}")
        if found is not None:
            behind.print_tables(found)
        if (full := home.full_disk(LITTLE_BYTES)) is not None:
            # state.json can't be written then, so that the table may be out of date.
            typer.echo(f"{full}: what runs comes back by itself once there is room.")
    if state is None:
        raise typer.Exit(NOT_RUNNING)


def _print_table(state: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{state['url'] or ''} ({state['phase']})", title_justify="left")
    for heading in (*SHOWN, "last end"):
        table.add_column(heading, justify="right" if heading in SHOWN[1:3] else "left")
    for row in state["processes"]:
        shown = ["" if row[name] is None else str(row[name]) for name in SHOWN]
        table.add_row(*shown, row["last_end"] or "")
    Console().print(table)


def _problem(port: int) -> str:
    """Ask a process why it can't serve, in its own words."""
    import httpx

    try:
        url = f"http://127.0.0.1:{port}/readyz"
        answer = httpx.get(url, timeout=READY_TIMEOUT_S, trust_env=False).json()
    except (httpx.HTTPError, ValueError) as error:
        return f"it does not say why ({type(error).__name__})"
    return str(answer.get("problem") or answer.get("checks") or answer)


def _say_up(url: str) -> None:
    typer.echo(f"Ordertrail is up: {url}")
    _say_where(url, "Ctrl-C stops it.")


def _say_where(url: str, last: str) -> None:
    typer.echo(f"  API pages:  {url}/docs\n  {last}")
