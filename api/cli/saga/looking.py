"""`saga list` and `saga show`: where orders stand. Nothing is changed.

Orders are listed from the read models; one order, and tasks, are read where the truth is. So with
Redis away what keeps failing is listed all the same. Rule: what is left out of a list is told.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.orders import HELP, fail, told_if_unreadable
from api.cli.saga.lines import order_line, step_line, task_line, utc
from api.cli.saga.order import Told, find_told
from api.cli.store import load_environment

if TYPE_CHECKING:
    from domain.ids import OrderId
    from infrastructure.postgres.tasks import Task
    from projections.ports import OrderViews

MOST = 100
PAGE = 100
"""Orders that the read models give at a time."""
PAGES = 100
"""Pages of one list that are looked through, at most."""
UNDER_WAY = ("cancel_pending", "confirmed", "pending")

Most = Annotated[int, typer.Option("--most", min=1, help="At most so many orders, and tasks.")]


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
    """List orders under way, the newest first, and calls, reactions and timers that fail."""
    from domain.errors import UnavailableError

    load_environment()
    failing = asyncio.run(_failing(most + 1))
    for task in failing[:most]:
        typer.echo(f"{task.order_id}  {task_line(task)}")
    if len(failing) > most:
        typer.echo(f"... and more tasks: --most shows them (now {most})")
    try:
        found = asyncio.run(_orders(stuck=stuck, most=most))
    except UnavailableError as error:
        fail(f"orders can't be listed: {error}")
    for body in found.orders:
        typer.echo(order_line(body))
    if found.more:
        typer.echo(f"... and more orders: --most shows them (now {most})")
    if not found.orders and not failing:
        typer.echo("nothing is stuck" if stuck else "no order is under way")


def show(order: Annotated[str, typer.Argument(help=HELP)]) -> None:
    """Show each step of an order's saga, and the tasks of its services."""
    load_environment()
    with told_if_unreadable(order):
        order_id, told = find_told(order)
    tasks = asyncio.run(_tasks(order_id))
    if told is None and not tasks:
        fail(f"no saga leads {order}")
    if told is not None:
        _show_saga(told)
    for task in tasks:
        typer.echo(f"{task_line(task)}  due {utc(task.due_at)}")


async def _failing(limit: int) -> Sequence["Task"]:
    from infrastructure import composition
    from infrastructure.observability.service_lag import FAILING_TRIES
    from infrastructure.settings import StoreSettings

    async with composition.open_tasks(StoreSettings()) as tasks:
        return await tasks.failing(tries=FAILING_TRIES, limit=limit)


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
        query = OrderQuery(None, status, None, limit=PAGE, after=after, work=work)
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


async def _tasks(order_id: "OrderId") -> Sequence["Task"]:
    from infrastructure import composition
    from infrastructure.settings import StoreSettings

    async with composition.open_tasks(StoreSettings()) as tasks:
        return await tasks.of_order(order_id)


def _show_saga(told: Told) -> None:
    from domain.fulfilment.waiting import waiting_for

    saga = told.saga
    if saga.outcome is not None:
        typer.echo(f"all is being undone, for the order is {saga.outcome}: {saga.reason}")
    for record in saga.steps:
        typer.echo(step_line(record, told.moved_at[record.step, record.subject]))
    waits = [one for one in waiting_for(saga) if one.stuck is None]
    for one in waits:
        until = "" if one.until is None else f" until {utc(one.until)}"
        typer.echo(f"it waits for {one.words}{until}")
    if not waits and not any(record.is_live for record in saga.steps):
        typer.echo("it waits for nothing")
    for sku, quantity in told.to_receive.items():
        typer.echo(f"came back for good: {quantity} of {sku}, to be received by hand")
