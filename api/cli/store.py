"""`migrate`, and the settings that commands on what is stored go by."""

import os

import typer


def register(app: typer.Typer) -> None:
    app.command()(migrate)


def migrate() -> None:
    """Bring the database's schema to this version."""
    from infrastructure.postgres.migrate import migrate as apply
    from infrastructure.settings import MigrationSettings

    load_environment()
    applied = apply(MigrationSettings().postgres_owner_url.get_secret_value())
    typer.echo("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")


def load_environment() -> None:
    """Take the settings of the platform in this home, unless the environment has them."""
    from infrastructure.local.home import load_home_environment

    if not {"ORDERTRAIL_POSTGRES_URL", "ORDERTRAIL_POSTGRES_OWNER_URL"} & set(os.environ):
        load_home_environment()
