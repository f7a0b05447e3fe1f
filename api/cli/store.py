"""Commands on what is stored: migrate the schema, show an order's history."""

import os
import sys
from typing import Annotated, NoReturn
from uuid import UUID

import orjson
import typer


def register(app: typer.Typer) -> None:
    app.command()(migrate)
    app.command()(history)


def migrate() -> None:
    """Bring the database's schema to this version."""
    from infrastructure.postgres.migrate import migrate as apply
    from infrastructure.settings import MigrationSettings

    load_environment()
    applied = apply(MigrationSettings().postgres_owner_url.get_secret_value())
    typer.echo("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")


def history(
    order: Annotated[str, typer.Argument(help="An order's id, or its number such as 7K3M-92QX.")],
    *,
    personal: Annotated[bool, typer.Option("--personal", help="Show names and addresses.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per event.")] = False,
) -> None:
    """Show everything that happened to an order, from the event store."""
    from domain.ids import OrderId
    from infrastructure import composition
    from infrastructure.event_store.order_history import read_history
    from infrastructure.settings import StoreSettings

    load_environment()
    reader = composition.order_reader(StoreSettings(), pool_size=1)
    try:
        order_id = OrderId(UUID(order))
    except ValueError:
        found = reader.find_order(order.upper())
        if found is None:
            _fail(f"there is no order {order}")
        order_id = found
    page = read_history(reader, order_id, show_personal=personal)
    if page is None:
        _fail(f"there is no order {order}")
    for item in page.items:
        if as_json:
            typer.echo(orjson.dumps(item).decode())
            continue
        time = item.occurred_at.isoformat(sep=" ", timespec="seconds")
        actor = f"{item.actor.role} {item.actor.subject}"
        typer.echo(f"{item.position:>8}  {time}  {item.type}  v{item.version}  by {actor}")
        typer.echo(f"          correlation {item.correlation_id}, event {item.event_id}")
        typer.echo(f"          {orjson.dumps(item.data).decode()}")


def load_environment() -> None:
    """Take the settings of the platform in this home, unless the environment has them."""
    from infrastructure.local.home import load_home_environment

    if not {"ORDERTRAIL_POSTGRES_URL", "ORDERTRAIL_POSTGRES_OWNER_URL"} & set(os.environ):
        load_home_environment()


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(1)
