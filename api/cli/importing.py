"""`ordertrail import FILE`: reads the file, asks the running platform, tells how it went.

Rule: exit code 0 means that the report adds up; 1 that the import stopped or doesn't add up, and
is safe to repeat; 2 that the file (or an option) can't be used and nothing was placed.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated

import httpx
import typer
from httpx_aiohttp import HttpxAiohttpClient
from rich.console import Console

from api.cli.bars import BarProgress, PlainProgress, bars
from api.importing.reading import NotAnOrderFileError, OrderFile
from api.importing.rejects import RejectsFileError
from api.importing.report import Report
from api.importing.report_text import report_lines
from api.importing.run import Options, run
from api.importing.sending import SAFE_TO_REPEAT, ImportStoppedError

TOKEN_TTL_S = 3600
REQUEST_TIMEOUT_S = 30.0
CLIENT_ID = "import"
MOST_CONCURRENT = 256


def register(app: typer.Typer) -> None:
    """Add the command to the CLI."""
    app.command("import")(import_file)


def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            help="A CSV with the columns InvoiceNo, StockCode, Description, Quantity, "
            "InvoiceDate, UnitPrice, CustomerID, Country."
        ),
    ],
    *,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Read, check and report, and write the rejects; place nothing."
        ),
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(
            help="Where the rejected rows go. [default: FILE.rejects.csv, in this directory]",
            show_default=False,
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=MOST_CONCURRENT, help="Requests under way at a time.")
    ] = 32,
) -> None:
    """Import orders and cancellations from a CSV into the running platform.

    Importing the same file again, or after an interruption, places nothing twice. Times in the
    file are taken as UTC.
    """
    options = Options(
        rejects=rejects or Path(f"{file.name}.rejects.csv"),
        dry_run=dry_run,
        concurrency=concurrency,
    )
    client = offline_client if dry_run else platform_client
    try:
        if not file.is_fifo():
            OrderFile(file).close()  # a fault of the file is told before one of the platform
        report = asyncio.run(_import(client, file, options))
    except (NotAnOrderFileError, RejectsFileError) as error:
        raise _exit(str(error), 2) from None
    except ImportStoppedError as error:
        raise _exit(str(error), 1) from None
    except KeyboardInterrupt:
        raise _exit(f"Interrupted. {SAFE_TO_REPEAT}", 130) from None
    for line in report_lines(report):
        typer.echo(line)
    if report.faults:
        raise _exit("The report does not add up:\n  " + "\n  ".join(report.faults), 1)


async def _import(
    new_client: Callable[[int], httpx.AsyncClient], file: Path, options: Options
) -> Report:
    console = Console(stderr=True)
    async with new_client(options.concurrency) as client:
        if not options.dry_run:
            await _require_answer(client)
        if not console.is_terminal:
            return await run(client, file, options, progress=PlainProgress())
        with bars(console) as progress:
            return await run(client, file, options, progress=BarProgress(progress))


async def _require_answer(client: httpx.AsyncClient) -> None:
    """Say at once that nothing listens; the patience of the import is for what went away later."""
    try:
        await client.get("/healthz", auth=None)
    except httpx.ConnectError as error:
        raise ImportStoppedError(
            f"Nothing answers at {client.base_url}: start the platform with ./run up."
        ) from error
    except httpx.HTTPError:
        return  # it is there, if unwell: the import waits for it


def offline_client(_concurrency: int) -> httpx.AsyncClient:
    """Make a client that is never used: a dry run works without a platform."""
    return httpx.AsyncClient()


def platform_client(concurrency: int) -> httpx.AsyncClient:
    """Make a client of the running platform, with a token of the service `import`.

    Raises:
        ImportStoppedError: there is no platform here, or its address is none.
    """
    from infrastructure.local.errors import LocalError
    from infrastructure.local.home import load_home_environment

    try:
        load_home_environment()
        return HttpxAiohttpClient(  # a quarter of httpx's own transport's CPU time
            base_url=os.environ["ORDERTRAIL_PUBLIC_URL"],
            auth=ServiceToken(),
            timeout=REQUEST_TIMEOUT_S,
            limits=httpx.Limits(max_connections=concurrency),
            trust_env=False,
        )
    except LocalError as error:
        raise ImportStoppedError(str(error)) from error
    except (KeyError, httpx.InvalidURL) as error:
        raise ImportStoppedError("ORDERTRAIL_PUBLIC_URL is not set, or not a URL") from error


class ServiceToken(httpx.Auth):
    """Adds a token; signs a new one at half its life, as a long import outlives any."""

    def __init__(self) -> None:
        self._token = ""
        self._renew_at_s = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if time.monotonic() >= self._renew_at_s:
            self._token = _new_token()
            self._renew_at_s = time.monotonic() + TOKEN_TTL_S / 2
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _new_token() -> str:
    from infrastructure.local.errors import LocalError
    from infrastructure.local.keys import mint_token

    try:
        return mint_token("service", CLIENT_ID, TOKEN_TTL_S)
    except LocalError as error:
        raise ImportStoppedError(str(error)) from error


def _exit(message: str, code: int) -> typer.Exit:
    sys.stdout.flush()
    typer.echo(message, err=True)
    return typer.Exit(code)
