"""`saga retry` and `saga skip`: what people on call do about a stuck order."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.orders import HELP, fail, told_if_unreadable
from api.cli.saga.lines import step_name, task_line
from api.cli.saga.order import find, steps_in
from api.cli.store import load_environment

if TYPE_CHECKING:
    from commands.ports import Ports, Request
    from domain.fulfilment.state import StepRecord
    from infrastructure.postgres.tasks import Task

OrderName = Annotated[str, typer.Argument(help=HELP)]
Subject = Annotated[str, typer.Option(help="Which parcel, return or refund, if there are several.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
StepName = Annotated[str, typer.Argument(help="Such as capture or deliver.")]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What somebody typed. Attributes: step: None: whichever it is; subject: '': any."""

    order: str
    step: str | None
    subject: str

    def choose(self, records: Sequence["StepRecord"]) -> Sequence["StepRecord"]:
        return [
            one
            for one in records
            if self.step in (None, one.step) and self.subject in ("", one.subject)
        ]


def retry(
    order: OrderName,
    step: Annotated[str | None, typer.Argument(help="One of them; else all of them.")] = None,
    *,
    subject: Subject = "",
    dry_run: DryRun = False,
) -> None:
    """Try again now what is stuck or failed: steps, calls, reactions and timers."""
    load_environment()
    _check_step(step)
    with told_if_unreadable(order):
        asyncio.run(_retry(_Wanted(order, step, subject), dry_run=dry_run))


def skip(
    order: OrderName,
    step: StepName,
    *,
    reason: Annotated[str, typer.Option(help="Why; it stays in the order's history.")],
    subject: Subject = "",
    dry_run: DryRun = False,
) -> None:
    """Go on without a stuck step."""
    load_environment()
    _check_step(step)
    _check_reason(reason)
    with told_if_unreadable(order):
        asyncio.run(_skip(_Wanted(order, step, subject), reason, dry_run=dry_run))


async def _retry(wanted: _Wanted, *, dry_run: bool) -> None:
    from commands.fulfilment.intervene import StuckStep, retry_step
    from domain.errors import DomainError
    from domain.fulfilment.on_call import RETRY_NOT, RETRYABLE, may_retry
    from infrastructure import composition
    from infrastructure.settings import FulfilmentSettings, StoreSettings

    store, timing = StoreSettings(), FulfilmentSettings().saga_timing
    order_id = find(wanted.order)
    async with composition.command_ports(store) as ports, composition.open_tasks(store) as tasks:
        failing = [task for task in await tasks.of_order(order_id) if task.problem is not None]
        found = wanted.choose(await steps_in(RETRYABLE, order_id, ports))
        if wanted.step is not None and not found:
            fail(f"{wanted.step} is not stuck")
        if not found and not failing:
            fail(f"nothing of {wanted.order} is stuck")
        chosen = [record for record in found if may_retry(record)]
        for record in found:
            if not may_retry(record):
                sys.stderr.write(f"{step_name(record)}: {RETRY_NOT}\n")
        if not chosen and not failing:
            raise typer.Exit(1)
        _say(chosen, failing)
        if dry_run:
            typer.echo("these would be tried again; nothing was done")
            return
        for task in failing:
            await tasks.make_due(task)
        try:
            for record in chosen:
                one = StuckStep(order_id, record.step, record.subject)
                await retry_step(one, _request(ports, "saga retry"), ports, timing)
        except DomainError as error:
            fail(f"{record.step}: {error.detail}")
        typer.echo("they are tried again now: `saga show` says what comes of it")


async def _skip(wanted: _Wanted, reason: str, *, dry_run: bool) -> None:
    from commands.fulfilment.intervene import StuckStep, skip_step
    from domain.errors import DomainError
    from domain.fulfilment.state import Condition
    from infrastructure import composition
    from infrastructure.settings import StoreSettings

    order_id = find(wanted.order)
    async with composition.command_ports(StoreSettings()) as ports:
        chosen = wanted.choose(await steps_in((Condition.STUCK,), order_id, ports))
        if not chosen:
            fail(f"{wanted.step} is not stuck")
        if len(chosen) > 1:
            subjects = ", ".join(one.subject for one in chosen)
            fail(f"several are stuck: say which with --subject: {subjects}")
        [record] = chosen
        _say(chosen, [])
        if dry_run:
            typer.echo("it would be left out; nothing was done")
            return
        one = StuckStep(order_id, record.step, record.subject)
        try:
            await skip_step(one, reason, _request(ports, "saga skip"), ports)
        except DomainError as error:
            fail(error.detail)
        typer.echo(f"the order goes on without {record.step}")


def _check_step(step: str | None) -> None:
    from domain.fulfilment.events import Step

    if step is not None and step not in set(Step):
        fail(f"there is no step {step}: choose one of {', '.join(Step)}")


def _check_reason(reason: str) -> None:
    """Hold it to what is taken over HTTP: it is stored, and shown on terminals."""
    from pydantic import TypeAdapter, ValidationError

    from api.order.change_schemas import Reason

    try:
        TypeAdapter(Reason).validate_python(reason)
    except ValidationError:
        fail("a reason has 1 to 500 characters, and no control characters")


def _say(records: Sequence["StepRecord"], tasks: Sequence["Task"]) -> None:
    for record in records:
        typer.echo(f"{step_name(record)}: {record.reason}")
    for task in tasks:
        typer.echo(task_line(task))


def _request(ports: "Ports", route: str) -> "Request":
    from commands.ports import Request
    from domain.envelope import Actor, Role

    name = str(ports.names.new_event_id())
    by = os.environ.get("USER") or "operator"
    return Request(Actor(by, Role.OPERATOR), name, name, f"ordertrail {route}")
