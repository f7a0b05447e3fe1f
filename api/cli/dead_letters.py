"""`dead-letters`: orders that are set aside because one of their events can't be applied."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.orders import HELP, fail, find_order
from api.cli.store import load_environment

if TYPE_CHECKING:
    from domain.ids import OrderId
    from infrastructure.event_store.order_reader import OrderReader
    from infrastructure.redis.dead_letters import DeadLetter, DeadLetters
    from infrastructure.redis.refold import Refolded

MOST = 100

Orders = Annotated[
    list[str] | None, typer.Argument(help="Order ids or numbers; all parked orders if none.")
]
Most = Annotated[int, typer.Option("--most", min=1, help="At most so many orders.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Orders set aside because one of their events can't be applied.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list")(list_parked)
    group.command()(show)
    group.command()(retry)
    group.command()(discard)
    app.add_typer(group, name="dead-letters")


def list_parked(*, most: Most = MOST) -> None:
    """List parked orders, and which event of each can't be applied."""
    letters = list(islice(_dead_letters().all(), most + 1))
    for letter in letters[:most]:
        typer.echo(_line(letter))
    if not letters:
        typer.echo("no order is parked")
    elif len(letters) > most:
        typer.echo(f"... and more: --most shows them (now {most})")


def show(order: Annotated[str, typer.Argument(help=HELP)]) -> None:
    """Show why an order is parked, and the event as it is stored; personal data stays sealed."""
    letters, reader = _dead_letters(), _reader()
    order_id = find_order(reader, order)
    letter = letters.find(order_id)
    if letter is None:
        fail(f"{order} is not parked")
    typer.echo(_line(letter))
    for entry in reader.entries(order_id):
        mark = ">" if entry.position == letter.note.position else " "
        typer.echo(f"{mark} {entry.position:>8}  {entry.type}  v{entry.version}")
        if entry.position == letter.note.position:
            typer.echo(f"  {entry.state.decode('utf-8', 'replace')}")


def retry(orders: Orders = None, *, most: Most = MOST, dry_run: DryRun = False) -> None:
    """Fold parked orders from the event store again: after an upgrade, most can be read."""
    letters, reader = _dead_letters(), _reader()
    chosen = _chosen(letters, reader, orders, most)
    if dry_run:
        typer.echo(f"{len(chosen)} orders would be tried again; nothing was done")
        return
    are_all_whole = _tell_retried(letters.retry(reader, chosen))
    if (not orders and _tell_more(letters, chosen, most)) or not are_all_whole:
        raise typer.Exit(1)


def discard(orders: Orders = None, *, most: Most = MOST, dry_run: DryRun = False) -> None:
    """Take notes off the list. An order that can't be read is parked again by its next event."""
    letters = _dead_letters()
    chosen = _chosen(letters, _reader(), orders, most)
    if dry_run:
        typer.echo(f"{len(chosen)} notes would be discarded; nothing was done")
        return
    typer.echo(f"{letters.discard(chosen)} notes were discarded")
    if not orders:
        _tell_more(letters, chosen, most)


def _dead_letters() -> "DeadLetters":
    from infrastructure import composition
    from infrastructure.redis.dead_letters import DeadLetters
    from infrastructure.settings import ViewSettings

    load_environment()
    views = ViewSettings()
    return DeadLetters(composition.redis_client(views), views.order_partitions)


def _reader() -> "OrderReader":
    from infrastructure import composition
    from infrastructure.settings import StoreSettings

    return composition.order_reader(StoreSettings(), pool_size=1)


def _tell_more(letters: "DeadLetters", chosen: "Sequence[OrderId]", most: int) -> bool:
    """Say whether there are others than so many; True if so."""
    others = {one.order_id for one in letters.all()}.difference(chosen)
    if len(chosen) < most or not others:
        return False
    typer.echo(f"{len(others)} more are parked: --most takes more at once")
    return True


def _chosen(
    letters: "DeadLetters", reader: "OrderReader", orders: list[str] | None, most: int
) -> "Sequence[OrderId]":
    if not orders:
        return [letter.order_id for letter in islice(letters.all(), most)]
    chosen = list(dict.fromkeys(find_order(reader, order) for order in orders))
    if len(chosen) > most:
        fail(f"{len(chosen)} orders are more than --most {most}")
    missing = [order_id for order_id in chosen if letters.find(order_id) is None]
    if missing:
        fail(f"not parked: {', '.join(map(str, missing))}")
    return chosen


def _tell_retried(results: "Mapping[OrderId, Refolded]") -> bool:
    """Say what became of each order; True if no note is left of any."""
    from infrastructure.redis.refold import Refolded

    for order_id, result in results.items():
        if result is Refolded.REMOVED:
            typer.echo(f"{order_id} {result.value}")
        elif result is Refolded.UNKNOWN:
            typer.echo(
                f"{order_id} {result.value}: `dead-letters discard {order_id}` takes its note off"
            )
    found = list(results.values())
    left = found.count(Refolded.PARKED) + found.count(Refolded.UNKNOWN)
    whole = len(found) - left - found.count(Refolded.REMOVED)
    typer.echo(f"{whole} orders are whole again, {left} are not")
    return left == 0


def _line(letter: "DeadLetter") -> str:
    note = letter.note
    return f"{letter.order_id}  {note.event_type} at position {note.position}: {note.reason}"
