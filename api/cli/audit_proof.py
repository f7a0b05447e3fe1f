"""`audit verify` and `audit seal`: prove that the log is what it was.

Exit codes of `verify`: 0, all is proven up to the last seal; 1, a fault was found; 2, something
could not be checked.
"""

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.store import load_environment

if TYPE_CHECKING:
    from infrastructure.audit.log import Connection
    from infrastructure.audit.report import Report
    from infrastructure.audit.sealer import Sealer
    from infrastructure.audit.verify import Tell, Verified

CONNECT_TIMEOUT_S = 5
MEMORY = "verified.json"
RACES = 100
"""How often `seal` looks again because the sealer was first."""

Full = Annotated[
    bool, typer.Option("--full", help="From the beginning, whatever was verified before.")
]
From = Annotated[
    int | None, typer.Option("--from", min=1, help="From the seal that holds this log position.")
]
Refill = Annotated[
    bool,
    typer.Option(
        "--refill-copies",
        help="Copy again what S3 had and has lost: from the rows as they are now, so verify first.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")]


def register(group: typer.Typer) -> None:
    group.command()(verify)
    group.command()(seal)


def verify(*, full: Full = False, start: From = None, as_json: AsJson = False) -> None:
    """Check the log against its hash chains, its seals, and their copies on S3.

    Begins after the last seal that was verified before. Exits with 1 where a fault is found,
    and with 2 where something can't be checked.
    """
    import psycopg

    from infrastructure.audit.report import PROVEN, Report
    from infrastructure.audit.seals import BadKeyError

    load_environment()
    try:
        report, reached = _verify(full=full, start=start)
    except (psycopg.OperationalError, OSError, BadKeyError) as error:
        report, reached = Report(1, 0, 0, unchecked=[str(error)]), None
    if start is not None and report.head < start:
        report.unchecked.append(f"position {start}: the log ends at {report.head}")
    if reached is not None and start is None and report.exit_code == PROVEN:
        _remember(reached)
    typer.echo(json.dumps(report.as_json()) if as_json else "\n".join(_lines(report)))
    raise typer.Exit(report.exit_code)


def seal(*, refill: Refill = False) -> None:
    """Seal now what is not sealed yet, and copy to S3 the seals that it never had."""
    from infrastructure import audit_composition
    from infrastructure.audit.copies import CopiesAwayError
    from infrastructure.audit.footing import LogDamagedError
    from infrastructure.audit.seal_store import SealTakenError
    from infrastructure.settings import Settings

    load_environment()
    settings = Settings()
    sealer = audit_composition.sealer(settings)
    with closing(_connect(settings.store.postgres_url.get_secret_value())) as connection:
        for _ in range(RACES):
            try:
                while made := sealer.seal_next(connection, after_s=0):
                    typer.echo(
                        f"seal {made.number}: positions {made.first_position}"
                        f" to {made.last_position}, root {made.root}"
                    )
                break
            except SealTakenError:
                continue
            except LogDamagedError as error:
                _fail(f"nothing was sealed: {error}\n`audit verify --full` names what was changed")
        try:
            reached, bad = _copy_all(sealer, connection, refill=refill)
        except CopiesAwayError as error:
            _fail(f"the seals are stored, and not copied: {error}")
    if bad:
        _fail("\n".join(bad))
    typer.echo(f"everything is sealed; S3 has all {reached} seals" if reached else "no events yet")


def _copy_all(
    sealer: "Sealer", connection: "Connection", *, refill: bool
) -> tuple[int, Sequence[str]]:
    """Copy what S3 lacks; give the last seal's number, and what is wrong, in words."""
    bad: list[str] = []
    gone: set[int] = set()
    looked_at, reached = -1, 0
    while looked_at != reached:
        looked_at = reached
        looked = sealer.copy_after(connection, looked_at, refill=refill)
        reached = looked.reached
        bad += [f"seal {fault.number}: {fault.what}" for fault in looked.faults]
        gone.update(looked.gone)
    if gone:
        bad.append(
            f"S3 had copies of {len(gone)} seals, from {min(gone)} to {max(gone)}, and has lost"
            " them: find out why. `audit seal --refill-copies` makes anew, from the rows, what no"
            " delete marker hides"
        )
    return reached, bad


def _verify(*, full: bool, start: int | None) -> "tuple[Report, Verified]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from infrastructure import audit_composition
    from infrastructure.audit.verify import BEGINNING, begin_at
    from infrastructure.settings import Settings

    settings = Settings()
    columns = (
        TextColumn("verifying"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} events"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with (
        closing(_connect(settings.store.postgres_url.get_secret_value())) as connection,
        Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar,
    ):
        if full:
            begin = BEGINNING
        else:
            begin = _remembered() if start is None else begin_at(connection, start)
        return audit_composition.verifier(settings, connection, begin, _telling(bar)).verify()


def _telling(bar: Any) -> "Tell":
    task = bar.add_task("verify", total=0, rate="")

    def tell(done: int, total: int) -> None:
        speed = bar.tasks[0].speed
        rate = "" if speed is None else f"{speed:,.0f} events/s"
        bar.update(task, completed=done, total=total, rate=rate)

    return tell


def _lines(report: "Report") -> list[str]:
    faults = report.in_order()
    lines = [f"first fault: {faults[0]}"] if faults else []
    lines += [f"also: {fault}" for fault in faults[1:]]
    if report.stopped:
        lines.append("and more: it was not read to the end")
    lines += [f"can't be checked: {what}" for what in report.unchecked]
    if report.head == 0:
        return lines
    if report.events:
        lines.append(
            f"read: positions {report.first_position} to {report.head}:"
            f" {report.events:,} events, {report.seals:,} seals"
        )
    if report.first_position > 1:
        lines.append(f"not read: before position {report.first_position}; --full reads it too")
    if report.proven_to:
        lines.append(f"proven: up to position {report.proven_to}")
    if report.not_copied_yet:
        lines.append(f"not copied to S3 yet: {report.not_copied_yet} seals")
    if report.head > report.proven_to:
        rest = f"positions {report.proven_to + 1} to {report.head}"
        if faults:
            lines.append(f"not proven: {rest}, with what is named above among them or before them")
        else:
            lines.append(
                f"not yet proven: {rest}, which no seal covers;"
                " if events after them were cut off, nothing here can tell"
            )
    return lines


def _memory() -> Any:
    from infrastructure.local.home import Home

    return Home.current().path / MEMORY


def _remembered() -> "Verified":
    """Give the last seal that was verified here: a hint, which `--full` does not need."""
    import msgspec

    from infrastructure.audit.verify import BEGINNING, Verified

    try:
        return msgspec.json.decode(_memory().read_bytes(), type=Verified)
    except (FileNotFoundError, ValueError):
        return BEGINNING


def _remember(reached: "Verified") -> None:
    from dataclasses import asdict

    from infrastructure.local.home import write_whole

    file = _memory()
    if file.parent.is_dir():
        write_whole(file, json.dumps(asdict(reached)))


def _connect(postgres_url: str) -> "Connection":
    import psycopg

    return psycopg.connect(postgres_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)


def _fail(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(1)
