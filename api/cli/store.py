"""Commands on what is stored: migrate the schema, rebuild the views."""

import os
import sys

import typer


def register(app: typer.Typer) -> None:
    app.command()(migrate)
    app.command()(rebuild)


def migrate() -> None:
    """Bring the database's schema to this version."""
    from infrastructure.postgres.migrate import migrate as apply
    from infrastructure.settings import MigrationSettings

    load_environment()
    applied = apply(MigrationSettings().postgres_owner_url.get_secret_value())
    typer.echo("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")


def rebuild() -> None:
    """Write every read model anew from the event store, while everything goes on."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from infrastructure import composition
    from infrastructure.redis import rebuild as rebuilding
    from infrastructure.settings import StoreSettings, ViewSettings

    load_environment()
    views = ViewSettings()
    reader = composition.order_reader(StoreSettings(), pool_size=2)
    columns = ("rebuilding", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("rebuild", total=reader.count_orders())
        report = rebuilding.rebuild(
            reader,
            composition.redis_client(views),
            partitions=views.order_partitions,
            tell=lambda so_far: progress.update(task, completed=so_far.orders),
        )
    typer.echo(
        f"{report.orders} orders rebuilt: {report.missing} were missing,"
        f" {report.different} were different, {report.parked} can't be read"
        f"{' (see dead-letters)' if report.parked else ''}"
    )


def load_environment() -> None:
    """Take the settings of the platform in this home, unless the environment has them."""
    from infrastructure.local.home import load_home_environment

    if not {"ORDERTRAIL_POSTGRES_URL", "ORDERTRAIL_POSTGRES_OWNER_URL"} & set(os.environ):
        load_home_environment()
