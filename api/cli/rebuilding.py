"""`rebuild`: the next generation of the read models, beside the one that is read."""

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from api.cli.orders import find_order
from api.cli.store import load_environment

if TYPE_CHECKING:
    from infrastructure.rebuild.catch_up import Tell
    from infrastructure.rebuild.differences import Findings
    from infrastructure.rebuild.parts import Parts
    from infrastructure.rebuild.run import Rebuild
    from infrastructure.rebuild.workers import OpenParts
    from infrastructure.redis.generations import Generations

T = TypeVar("T")
MOST_WORKERS = 64


def register(app: typer.Typer) -> None:
    app.command()(rebuild)


def rebuild(
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a rebuild that was ended.")
    ] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Flip although orders are shown otherwise than now.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the generation before.")
    ] = False,
    drop_previous: Annotated[
        bool, typer.Option("--drop-previous", help="Delete the generation before.")
    ] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Give up an unfinished rebuild.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compare what is read with the log, and change nothing."),
    ] = False,
    order: Annotated[
        str | None,
        typer.Option(metavar="ORDER", help="Only this order, by id or number, where it is."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=MOST_WORKERS, help="Processes.")] = 2,
    throttle: Annotated[
        float | None, typer.Option(min=1, metavar="EVENTS_PER_S", help="Read no faster than this.")
    ] = None,
) -> None:
    """Build the read models anew from the event store, while everything goes on.

    The next generation is built beside the one that is read, checked against the log, and then
    read instead of it. The one before is kept, up to date, for --rollback.
    """
    modes: dict[str, Callable[[_Command], None] | None] = {
        "--resume": _Command.resume if resume else None,
        "--rollback": _Command.roll_back if rollback else None,
        "--drop-previous": _Command.drop_previous if drop_previous else None,
        "--abort": _Command.abort if abort else None,
        "--verify": _Command.verify if verify else None,
        "--order": _Command.one_order if order is not None else None,
        "--dry-run": _Command.dry_run if dry_run else None,
    }
    chosen = [name for name, mode in modes.items() if mode is not None]
    if len(chosen) > 1:
        _fail(f"{' and '.join(chosen)} don't go together", code=2)
    mode = modes[chosen[0]] if chosen else _Command.build
    if mode is not None:
        _Command(workers, throttle, accept=accept, order=order or "")(mode)


class _Command:
    """One call, with its options."""

    def __init__(self, workers: int, throttle: float | None, *, accept: bool, order: str) -> None:
        self._workers = workers
        self._throttle = throttle
        self._accept = accept
        self._order = order

    def __call__(self, mode: "Callable[[_Command], None]") -> None:
        """Do it; what can be expected to go wrong is one plain message and exit code 1."""
        from concurrent.futures.process import BrokenProcessPool

        import psycopg
        import redis

        from domain.errors import UnavailableError
        from infrastructure import composition
        from infrastructure.rebuild.catch_up import StalledError
        from infrastructure.rebuild.fill import CheckpointMovedError
        from infrastructure.rebuild.lifecycle import RefusedError
        from infrastructure.rebuild.log import RebuildRunsError
        from infrastructure.redis.generations import LedgerMovedError, LedgerUnreadableError
        from infrastructure.redis.shard import DocumentMovedError
        from infrastructure.settings import StoreSettings, ViewSettings

        load_environment()
        self._open: OpenParts = partial(composition.rebuild_parts, StoreSettings(), ViewSettings())
        self._parts: Parts = self._open()
        try:
            mode(self)
        except (
            RefusedError,
            RebuildRunsError,
            StalledError,
            LedgerMovedError,
            LedgerUnreadableError,
            CheckpointMovedError,
            DocumentMovedError,
        ) as error:
            _fail(str(error))
        except (UnavailableError, psycopg.OperationalError, redis.RedisError) as error:
            _fail(f"{error}\nif a rebuild was under way: `rebuild --resume` goes on with it")
        except BrokenProcessPool:
            _fail("a worker process was killed: go on with `rebuild --resume`")
        except KeyboardInterrupt:
            _fail("Interrupted: go on with `rebuild --resume`, or end it with --abort", code=130)

    def build(self) -> None:
        self._run(resume=False)

    def resume(self) -> None:
        self._run(resume=True)

    def _run(self, *, resume: bool) -> None:
        from infrastructure.rebuild.run import ChangedError, WrongError

        def run(rebuild: "Rebuild") -> None:
            report = rebuild.run(resume=resume, accept=self._accept)
            changed = report.checked.changed
            _tell_findings(f"{changed.count} orders are shown otherwise than before", changed)
            typer.echo(
                f"generation {report.generation} is read now: {report.checked.orders:,} orders,"
                f" {report.checked.events:,} events; `rebuild --rollback` goes back"
            )

        try:
            self._with_workers(run)
        except WrongError as wrong:
            _tell_findings(str(wrong), wrong.found, err=True)
            _fail("nothing was flipped; mend it and `rebuild --resume`, or `rebuild --abort`")
        except ChangedError as changed:
            _tell_findings(str(changed), changed.found, err=True)
            known = changed.live_version
            before = "one that is not noted" if known is None else f"version {known}"
            _fail(
                f"it was built by version {changed.version} of the projection, what is read by"
                f" {before}. Nothing was flipped: `rebuild --resume --accept` flips,"
                " `rebuild --abort` gives it up"
            )

    def verify(self) -> None:
        def run(rebuild: "Rebuild") -> None:
            checked = rebuild.verify()
            self._tell_parked()
            if checked.wrong.count:
                _tell_findings(f"{checked.wrong.count} differences from the log", checked.wrong)
                raise typer.Exit(1)
            typer.echo(f"{checked.orders:,} orders are as the log says")

        self._with_workers(run)

    def _tell_parked(self) -> None:
        """Say how many orders can't be shown as the log says: no difference, but not right."""
        from infrastructure.redis.dead_letters import DeadLetters

        parked = sum(1 for _ in DeadLetters(self._parts.client, self._parts.partitions).all())
        if parked:
            typer.echo(f"{parked:,} orders are parked: `dead-letters list` says why")

    def _with_workers(self, run: "Callable[[Rebuild], None]") -> None:
        from rich.console import Console

        from api.cli.bars import BarProgress, PlainProgress, bars
        from infrastructure.rebuild.run import Rebuild
        from infrastructure.rebuild.workers import Workers

        def work(tell: "Tell") -> None:
            with Workers(
                self._open, processes=self._workers, events_per_s=self._throttle
            ) as workers:
                run(Rebuild(self._parts, workers, tell))

        console = Console(stderr=True)
        if console.is_terminal:
            with bars(console) as progress:
                work(BarProgress(progress))
        else:
            work(PlainProgress())

    def roll_back(self) -> None:
        from infrastructure.rebuild import lifecycle

        before, now = self._alone(lifecycle.roll_back)
        typer.echo(f"generation {now} is read again; {before} is kept: --rollback flips back")

    def drop_previous(self) -> None:
        from infrastructure.rebuild import lifecycle

        dropped = self._alone(lifecycle.drop_previous)
        typer.echo(
            "\n".join(f"generation {one} was deleted" for one in sorted(dropped))
            or "there is no previous generation"
        )

    def abort(self) -> None:
        from infrastructure.rebuild import lifecycle

        typer.echo(f"generation {self._alone(lifecycle.abort)} was given up and deleted")

    def _alone(self, change: "Callable[[Generations], T]") -> "T":
        """Change generations while no rebuild runs."""
        from infrastructure.rebuild.log import opened
        from infrastructure.redis.generations import Generations

        with opened(self._parts.connect) as log:
            log.lock()
            return change(Generations(self._parts.client, self._parts.partitions))

    def one_order(self) -> None:
        from infrastructure.redis import shard_keys
        from infrastructure.redis.generations import Generations
        from infrastructure.redis.refold import Refolded, refold, remove_misplaced

        order_id = find_order(self._parts.reader, self._order)
        shards = Generations(self._parts.client, self._parts.partitions).shards
        misplaced = remove_misplaced(shards, order_id)
        if misplaced:
            typer.echo(f"{order_id} had a document in the wrong shard: it was removed")
        partition = shard_keys.partition_of(order_id, self._parts.partitions)
        found = refold(self._parts.reader, shards[partition], order_id)
        typer.echo(f"{order_id} {found.value}")
        if found is Refolded.PARKED or (found is Refolded.UNKNOWN and not misplaced):
            raise typer.Exit(1)

    def dry_run(self) -> None:
        from infrastructure.rebuild.estimate import estimate

        typer.echo(str(estimate(self._parts, self._workers, self._throttle)))


def _tell_findings(title: str, found: "Findings", *, err: bool = False) -> None:
    if not found.count:
        return
    typer.echo(f"{title}:", err=err)
    for one in found.named:
        typer.echo(f"  {one}", err=err)
    if found.count > len(found.named):
        typer.echo(f"  and {found.count - len(found.named):,} more", err=err)


def _fail(message: str, *, code: int = 1) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(code)
