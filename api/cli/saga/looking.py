"""`saga list` and `saga show`: where orders stand. Nothing is changed.

Orders are listed from the read models; one order, and tasks, are read where the truth is. So with
Redis away what keeps failing is listed all the same.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.orders import HELP, fail
from api.cli.saga.order import find
from api.cli.store import load_environment

if TYPE_CHECKING:
    from domain.fulfilment.state import Fulfilment, StepRecord
    from domain.ids import OrderId
    from infrastructure.postgres.tasks import Task
    from projections.ports import OrderViews

MOST = 100
PAGES = 100
"""Pages of orders that are looked through for stuck ones, at most."""
UNDER_WAY = ("cancel_pending", "confirmed", "pending")

Most = Annotated[int, typer.Option("--most", min=1, max=MOST, help="At most so many orders.")]


@dataclass(frozen=True, slots=True)
class _Found:
    """Attributes: orders: documents; more: whether there may be others."""

    orders: Sequence[Any]
    more: bool


def list_sagas(
    *,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Only what can't go on by itself.")
    ] = False,
    most: Most = MOST,
) -> None:
    """List orders under way, the newest first, and calls and reactions that keep failing."""
    from domain.errors import UnavailableError

    load_environment()
    failing = asyncio.run(_failing(most))
    for task in failing:
        typer.echo(f"{task.order_id}  {_task(task)}")
    try:
        found = asyncio.run(_orders(stuck=stuck, most=most))
    except UnavailableError as error:
        fail(f"orders can't be listed: {error}")
    for body in found.orders:
        typer.echo(_line(body))
    if found.more:
        typer.echo(f"... and more: --most shows up to {MOST} (now {most})")
    if not found.orders and not failing:
        typer.echo("nothing is stuck" if stuck else "no order is under way")


def show(order: Annotated[str, typer.Argument(help=HELP)]) -> None:
    """Show each step of an order's saga, and the tasks of its services."""
    load_environment()
    order_id = find(order)
    saga, tasks = asyncio.run(_read(order_id))
    if saga is None and not tasks:
        fail(f"no saga leads {order}")
    if saga is not None:
        _show_saga(saga)
    for task in tasks:
        typer.echo(f"{_task(task)}  due {task.due_at:%Y-%m-%d %H:%M:%S %Z}")


async def _failing(most: int) -> Sequence["Task"]:
    from infrastructure import composition
    from infrastructure.observability.service_lag import FAILING_TRIES
    from infrastructure.settings import StoreSettings

    async with composition.open_tasks(StoreSettings()) as tasks:
        return await tasks.failing(tries=FAILING_TRIES, limit=most)


async def _orders(*, stuck: bool, most: int) -> _Found:
    from infrastructure import composition
    from infrastructure.settings import Settings
    from projections.order.lists import Work

    async with composition.query_side(Settings()) as (ports, _):
        if stuck:
            return await _page_through(ports.views, _is_stuck, most, work=Work.EXCEPTIONS)
        each = [
            await _page_through(ports.views, _is_led, most, status=status) for status in UNDER_WAY
        ]
    orders = [body for one in each for body in one.orders]
    orders.sort(key=lambda body: body["placed_at"], reverse=True)
    more = len(orders) > most or any(one.more for one in each)
    return _Found(orders[:most], more)


async def _page_through(
    views: "OrderViews",
    wanted: Callable[[Any], bool],
    most: int,
    *,
    status: str | None = None,
    work: str | None = None,
) -> _Found:
    """Look through a list, newest first, until enough wanted orders are found."""
    import orjson

    from projections.ports import OrderQuery

    orders: list[Any] = []
    after: str | None = None
    for _ in range(PAGES):
        query = OrderQuery(None, status, None, limit=MOST, after=after, work=work)
        page = await views.list(query)
        orders += filter(wanted, map(orjson.loads, page.bodies))
        after = page.next_after
        if after is None or len(orders) > most:
            break
    return _Found(orders[:most], len(orders) > most or after is not None)


def _is_led(body: Any) -> bool:
    return body["fulfilment"] is not None


def _is_stuck(body: Any) -> bool:
    """Carriers' problems are exceptions too; the saga goes on with those by itself."""
    return _is_led(body) and body["fulfilment"]["stuck"] is not None


async def _read(order_id: "OrderId") -> tuple["Fulfilment | None", Sequence["Task"]]:
    from domain.fulfilment.state import FULFILMENT
    from domain.ids import fulfilment_stream
    from infrastructure import composition
    from infrastructure.settings import StoreSettings

    store = StoreSettings()
    async with composition.command_ports(store) as ports, composition.open_tasks(store) as tasks:
        stream = await ports.store.load(fulfilment_stream(order_id), FULFILMENT)
        return stream.state, await tasks.of_order(order_id)


def _show_saga(saga: "Fulfilment") -> None:
    from domain.fulfilment.waiting import waiting_for

    if saga.outcome is not None:
        typer.echo(f"all is being undone, for the order is {saga.outcome}: {saga.reason}")
    for record in saga.steps:
        typer.echo(_step(record))
    waits = [one for one in waiting_for(saga) if one.stuck is None]
    for one in waits:
        until = "" if one.until is None else f" until {one.until:%Y-%m-%d %H:%M:%S %Z}"
        typer.echo(f"it waits for {one.words}{until}")
    if not waits and not any(record.is_live for record in saga.steps):
        typer.echo("it waits for nothing")


def _step(record: "StepRecord") -> str:
    line = f"{record.step} {record.subject}".rstrip() + f": {record.condition}"
    line += f", attempt {record.attempt}" if record.attempt > 1 else ""
    line += f", asked {record.asked} times" if record.asked > 1 else ""
    line += ", overdue" if record.timed_out and record.is_live else ""
    return f"{line} ({record.reason})" if record.reason else line


def _task(task: "Task") -> str:
    if task.problem is None:
        return task.queue
    return f"{task.queue}: tried {task.tries} times: {task.problem}"


def _line(body: Any) -> str:
    saga = body["fulfilment"]
    line = f"{body['order_id']}  {body['order_number']}  {body['status']}"
    if saga["waiting_for"] is not None:
        line += f"  waits for {saga['waiting_for']}"
    if saga["stuck"] is not None:
        return f"{line}  STUCK at {saga['step']} {saga['subject'] or ''}".rstrip() + (
            f": {saga['stuck']}"
        )
    return f"{line} until {saga['due_at']}" if saga["due_at"] is not None else line
