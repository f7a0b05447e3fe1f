"""`saga`: orders under way, what each waits for, and what people on call do about a stuck one."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.orders import HELP, fail, find_order
from api.cli.store import load_environment

if TYPE_CHECKING:
    from commands.ports import Ports, Request
    from domain.fulfilment.state import StepRecord
    from domain.ids import OrderId
    from infrastructure.postgres.tasks import Task, Tasks

MOST = 100
FAILING_TRIES = 3
"""Tries in vain after which a task is shown."""
UNDER_WAY = ("pending", "confirmed", "cancel_pending")

OrderName = Annotated[str, typer.Argument(help=HELP)]
Subject = Annotated[str, typer.Option(help="Which parcel, return or refund, if there are several.")]
Most = Annotated[int, typer.Option("--most", min=1, max=MOST, help="At most so many orders.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
StepName = Annotated[str, typer.Argument(help="Such as capture or deliver.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Orders under way: what each waits for, and what to do about a stuck one.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list")(list_sagas)
    group.command()(retry)
    group.command()(skip)
    app.add_typer(group, name="saga")


def list_sagas(
    *,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Only what can't go on by itself.")
    ] = False,
    most: Most = MOST,
) -> None:
    """List orders under way, and calls and reactions that keep failing."""
    load_environment()
    orders, tasks = asyncio.run(_look(stuck=stuck, most=most))
    for body in orders:
        typer.echo(_line(body))
    for task in tasks:
        typer.echo(f"{task.order_id}  {task.queue}: tried {task.tries} times: {task.problem}")
    if not orders and not tasks:
        typer.echo("nothing is stuck" if stuck else "no order is under way")


def retry(
    order: OrderName,
    step: Annotated[str | None, typer.Argument(help="The stuck one, if there is only one.")] = None,
    *,
    subject: Subject = "",
    dry_run: DryRun = False,
) -> None:
    """Try a stuck step again now, and every call and reaction of the order that keeps failing."""
    load_environment()
    asyncio.run(_retry(order, step, subject, dry_run=dry_run))


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
    asyncio.run(_skip(order, step, subject, reason, dry_run=dry_run))


async def _look(*, stuck: bool, most: int) -> tuple[Sequence[Any], Sequence["Task"]]:
    import orjson

    from infrastructure import composition
    from infrastructure.settings import Settings
    from projections.order.lists import Work
    from projections.ports import OrderQuery

    settings = Settings()
    wanted = [(None, Work.EXCEPTIONS)] if stuck else [(status, None) for status in UNDER_WAY]
    orders: list[Any] = []
    async with composition.query_side(settings) as (ports, _):
        for status, work in wanted:
            query = OrderQuery(None, status, None, limit=most, after=None, work=work)
            orders += map(orjson.loads, (await ports.views.list(query)).bodies)
    async with composition.open_tasks(settings.store) as tasks:
        failing = await tasks.failing(tries=FAILING_TRIES, limit=most)
    return [one for one in orders if one["fulfilment"]][:most], failing


async def _retry(order: str, step: str | None, subject: str, *, dry_run: bool) -> None:
    from commands.fulfilment.intervene import StuckStep, retry_step
    from domain.fulfilment.events import Step
    from infrastructure import composition
    from infrastructure.settings import FulfilmentSettings, StoreSettings

    store, timing = StoreSettings(), FulfilmentSettings().saga_timing
    order_id = _find(order)
    async with composition.command_ports(store) as ports, composition.open_tasks(store) as tasks:
        failing = [task for task in await tasks.of_order(order_id) if task.problem is not None]
        stuck = await _stuck_steps(order_id, ports)
        chosen = [one for one in stuck if step in (None, one.step) and subject in ("", one.subject)]
        if step is not None and not chosen:
            fail(f"{step} is not stuck")
        if not chosen and not failing:
            fail(f"nothing of {order} is stuck")
        for record in chosen:
            typer.echo(f"{record.step} {record.subject}".rstrip() + f": {record.reason}")
        for task in failing:
            typer.echo(f"{task.queue} {task.key}: {task.problem}")
        if dry_run:
            typer.echo("these would be tried again; nothing was done")
            return
        for record in chosen:
            one = StuckStep(order_id, Step(record.step), record.subject)
            await retry_step(one, _request(ports, "saga retry"), ports, timing)
        await _make_due(tasks, failing)
        typer.echo("tried again")


async def _skip(order: str, step: str, subject: str, reason: str, *, dry_run: bool) -> None:
    from commands.fulfilment.intervene import StuckStep, skip_step
    from domain.errors import DomainError
    from domain.fulfilment.events import Step
    from infrastructure import composition
    from infrastructure.settings import StoreSettings

    if step not in set(Step):
        fail(f"there is no step {step}: choose one of {', '.join(Step)}")
    order_id = _find(order)
    async with composition.command_ports(StoreSettings()) as ports:
        stuck = await _stuck_steps(order_id, ports)
        if not any((one.step, one.subject) == (step, subject) for one in stuck):
            fail(f"{step} is not stuck")
        if dry_run:
            typer.echo(f"{step} would be left out; nothing was done")
            return
        one = StuckStep(order_id, Step(step), subject)
        try:
            await skip_step(one, reason, _request(ports, "saga skip"), ports)
        except DomainError as error:
            fail(error.detail)
        typer.echo(f"the order goes on without {step}")


async def _stuck_steps(order_id: "OrderId", ports: "Ports") -> Sequence["StepRecord"]:
    from domain.fulfilment.state import FULFILMENT, Condition
    from domain.ids import fulfilment_stream

    saga = (await ports.store.load(fulfilment_stream(order_id), FULFILMENT)).state
    if saga is None:
        fail("no saga leads this order")
    return [record for record in saga.live() if record.condition is Condition.STUCK]


async def _make_due(tasks: "Tasks", failing: Sequence["Task"]) -> None:
    now = datetime.now(UTC)
    for task in failing:
        await tasks.sooner(task.queue, [(task.key, task.order_id, now)])


def _request(ports: "Ports", route: str) -> "Request":
    from commands.ports import Request
    from domain.envelope import Actor, Role

    name = str(ports.names.new_event_id())
    by = os.environ.get("USER") or "operator"
    return Request(Actor(by, Role.OPERATOR), name, name, f"ordertrail {route}")


def _find(order: str) -> "OrderId":
    from infrastructure import composition
    from infrastructure.settings import StoreSettings

    reader = composition.order_reader(StoreSettings(), pool_size=1)
    try:
        return find_order(reader, order)
    finally:
        reader.close()


def _line(body: Any) -> str:
    saga = body["fulfilment"]
    line = f"{body['order_id']}  {body['order_number']}  {body['status']}"
    if saga["waiting_for"] is not None:
        line += f"  waits for {saga['waiting_for']}"
    if saga["stuck"] is not None:
        return f"{line}  STUCK at {saga['step']} {saga['subject'] or ''}: {saga['stuck']}"
    return f"{line} until {saga['due_at']}" if saga["due_at"] is not None else line
