"""`history`: everything that happened to one order, for people or as JSON lines."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, NoReturn
from uuid import UUID

import orjson
import typer

from api.cli.store import load_environment

if TYPE_CHECKING:
    from domain.ids import OrderId
    from infrastructure.event_store.order_reader import OrderReader
    from projections.order.difference import Change
    from projections.ports import HistoryItem

INDENT = " " * 10


def register(app: typer.Typer) -> None:
    app.command()(history)


def history(
    order: Annotated[str, typer.Argument(help="An order's id, or its number such as 7K3M-92QX.")],
    *,
    personal: Annotated[bool, typer.Option("--personal", help="Show names and addresses.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per event.")] = False,
) -> None:
    """Show who changed an order, when and why, and what changed; from the event store."""
    from infrastructure import composition
    from infrastructure.settings import StoreSettings
    from projections.order.history import history_page

    load_environment()
    reader = composition.order_reader(StoreSettings(), pool_size=1)
    page = history_page(reader.events(find_order(reader, order), open_sealed=personal))
    if page is None:
        fail(f"there is no order {order}")
    for item in page.items:
        typer.echo(_json(item) if as_json else "\n".join(_lines(item)))


def find_order(reader: "OrderReader", order: str) -> "OrderId":
    """Take an order's id, or look its number up. An id is not looked up: it may be nobody's."""
    from domain.ids import OrderId

    try:
        return OrderId(UUID(order))
    except ValueError:
        found = reader.find_order(order.upper())
        if found is None:
            fail(f"there is no order {order}")
        return found


def fail(message: str) -> NoReturn:
    """Say what is wrong, and end with exit code 1."""
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(1)


def _lines(item: "HistoryItem") -> Iterator[str]:
    time = item.occurred_at.isoformat(sep=" ", timespec="seconds")
    actor = f"{item.actor.role} {item.actor.subject}"
    yield f"{item.position:>8}  {time}  {item.type}  v{item.version}  by {actor}"
    if abs((item.recorded_at - item.occurred_at).total_seconds()) > 1:
        recorded = item.recorded_at.isoformat(sep=" ", timespec="seconds")
        yield f"{INDENT}recorded {recorded}"
    if item.reason is not None:
        yield f"{INDENT}because  {item.reason}"
    changes = [change for change in item.changes if change["path"]]
    for change in changes:
        yield f"{INDENT}changed  {_change(change)}"
    data = {name: value for name, value in item.data.items() if name != "order_id"}
    if data and not changes:
        yield f"{INDENT}with     {_json(data)}"
    yield f"{INDENT}request  {item.command_id}, correlation {item.correlation_id}"


def _change(change: "Change") -> str:
    before, after = (
        _json(change[side]) if side in change else "nothing" for side in ("from", "to")
    )
    return f"{change['path']}: {before} -> {after}"


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()
