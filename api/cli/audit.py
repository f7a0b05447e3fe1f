"""`audit`: what happened, for people who have to answer for it."""

import typer

from api.cli import audit_export, audit_history


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="What happened: histories, exports.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    audit_history.register(group)
    audit_export.register(group)
    app.add_typer(group, name="audit")
