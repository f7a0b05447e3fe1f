"""`token`: a signed token for local use."""

import re
from typing import Annotated

import typer

TTL = re.compile(r"([1-9][0-9]{0,5})([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def register(app: typer.Typer) -> None:
    app.command()(token)


def token(
    *,
    role: Annotated[
        str, typer.Option(help="customer, support, merchant, service or auditor.")
    ] = "customer",
    subject: Annotated[
        str, typer.Option(help="Who it is for: a customer's id, a client's or a person's.")
    ],
    ttl: Annotated[str, typer.Option(help="How long it is valid: 90s, 30m, 1h, 7d.")] = "1h",
) -> None:
    """Print a signed token (JWT) for local use, and nothing else.

    For example: curl -H "Authorization: Bearer $(./run token --role support --subject me)" ...
    """
    from infrastructure.local.home import load_home_environment
    from infrastructure.local.keys import mint_token

    parsed = TTL.fullmatch(ttl)
    if parsed is None:
        raise typer.BadParameter("give a number with s, m, h or d, as in 30m", param_hint="--ttl")
    load_home_environment()
    typer.echo(mint_token(role, subject, int(parsed[1]) * SECONDS[parsed[2]]))
