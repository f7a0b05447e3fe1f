"""What the demo shows of its story: how far it is, and how it ended."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from api.cli.demo.tell import OVER, Told
from domain.money import Currency, Money

GBP = Currency("GBP")
_SHOWN = ("pending", "confirmed", *OVER)


@contextmanager
def counted(orders: int) -> Iterator[Callable[[Counter[str]], None]]:
    """Show a bar of the orders that are over, and how many are in which status."""
    columns = (TextColumn("living orders"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TextColumn("{task.fields[words]}"), console=_console()) as bar:
        task = bar.add_task("", total=orders, words="")

        def show(statuses: Counter[str]) -> None:
            over = sum(statuses[one] for one in OVER)
            bar.update(task, completed=over, words=_words(statuses))

        yield show


def show_story(told: Told) -> None:
    """Say how the orders ended, and whether the provider's books say the same as ours."""
    taken, back = told.money()
    typer.echo(f"\nOrders of customers, lived to their end: {_words(told.statuses())}")
    typer.echo(f"  taken {Money(taken, GBP)}, given back {Money(back, GBP)}")
    typer.echo(f"  confirmed with the customer's bank: {told.confirmed} payments")
    typer.echo(f"  told by a carrier's signed webhooks: {told.scanned} scans")
    for order in told.differing():
        typer.echo(f"  BUT the payment provider's own ledger says otherwise of order {order}")
    if not told.differing():
        typer.echo("  the payment provider's own ledger says the same of each order, to the penny")
    for one in told.unsettled():
        typer.echo(f"  NOT settled within a minute: order {one['order_id']} is {one['status']}")


def _words(statuses: Counter[str]) -> str:
    return ", ".join(f"{statuses[one]} {one}" for one in _SHOWN if statuses[one])


def _console() -> Console:
    return Console(stderr=True)
