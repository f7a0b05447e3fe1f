"""`saga`: orders under way, what each waits for, and what people on call do about a stuck one."""

import typer

from api.cli.saga.intervening import retry, skip
from api.cli.saga.looking import list_sagas, show


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Orders under way: what each waits for, and what to do about a stuck one.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list")(list_sagas)
    group.command()(show)
    group.command()(retry)
    group.command()(skip)
    app.add_typer(group, name="saga")
