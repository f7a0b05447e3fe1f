"""`audit`: what happened, and that it is what happened, for people who have to answer for it."""

import typer

from api.cli import audit_export, audit_history, audit_proof


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Histories, exports, and the proof that they are what they were.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for module in (audit_history, audit_export, audit_proof):
        module.register(group)
    app.add_typer(group, name="audit")
