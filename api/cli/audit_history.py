"""`history`: everything that happened to one order, for people or as JSON lines."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from api.cli.orders import HELP, fail, find_order, told_if_unreadable
from api.cli.store import load_environment

if TYPE_CHECKING:
    from projections.order.difference import Change
    from projections.order.past import Events
    from projections.ports import HistoryItem

INDENT = " " * 10


def register(app: typer.Typer) -> None:
    app.command()(history)


def history(
    order: Annotated[str, typer.Argument(help=HELP)],
    *,
    personal: Annotated[bool, typer.Option("--personal", help="Show names and addresses.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per event.")] = False,
) -> None:
    """Show who changed an order, when and why, and what changed; from the event store.

    Ends with 1 at the first event that can't be applied, after all that can.
    """
    from infrastructure import composition
    from infrastructure.event_store.order_history import named_by_event
    from infrastructure.event_store.order_reader import UnreadableEventError
    from infrastructure.settings import StoreSettings

    load_environment()
    reader = composition.order_reader(StoreSettings(), pool_size=1)
    order_id = find_order(reader, order)
    with told_if_unreadable(order):
        events = reader.events(order_id, open_sealed=personal)
        if not events:
            fail(f"there is no order {order}")
        try:
            with named_by_event(reader, order_id):
                _show(events, as_json=as_json)
        except UnreadableEventError as error:
            _show([e for e in events if e.position < error.entry.position], as_json=as_json)
            raise


def _show(events: "Events", *, as_json: bool) -> None:
    from projections.order.history import as_json as history_values
    from projections.order.history import history_page

    page = history_page(events)
    for item in () if page is None else page.items:
        typer.echo(_json(history_values(item)) if as_json else "\n".join(_lines(item)))


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
