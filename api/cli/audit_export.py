"""`audit export`: a part of the log as CSV or JSON Lines, streamed."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.orders import fail, find_order
from api.cli.output_file import output
from api.cli.steps import steps
from api.cli.store import load_environment

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import DictRow

    from domain.ids import OrderId
    from infrastructure.event_store.export import Selection
    from infrastructure.event_store.order_reader import OrderReader


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


def register(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    *,
    form: Annotated[Format, typer.Option("--format", help="One row or one JSON object a line.")],
    order: Annotated[str | None, typer.Option(help="Of this order: its id or number.")] = None,
    customer: Annotated[str | None, typer.Option(help="Of this customer's orders.")] = None,
    actor: Annotated[str | None, typer.Option(help="Done by this subject.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="Recorded then or later: ISO 8601, UTC if not said."),
    ] = None,
    before: Annotated[str | None, typer.Option("--to", help="Recorded before that time.")] = None,
    personal: Annotated[bool, typer.Option("--personal", help="Show names and addresses.")] = False,
    path: Annotated[
        Path | None,
        typer.Option("--output", help="A file, written whole or not at all; else standard output."),
    ] = None,
) -> None:
    """Export events, in the order of the log: who did what, when and why."""
    from infrastructure import composition
    from infrastructure.event_store.export import Selection
    from infrastructure.settings import StoreSettings

    load_environment()
    store = StoreSettings()
    reader = composition.order_reader(store, pool_size=1)
    with connected(store.postgres_url.get_secret_value()) as connection:
        selection = Selection(
            orders=_orders(connection, reader, order, customer),
            actor=actor,
            since=_time(since, "--from"),
            before=_time(before, "--to"),
        )
        with output(path) as out:
            written, unreadable = 0, 0
            for text, events, bad in _texts(connection, reader, selection, form, personal=personal):
                out.write(text)
                written, unreadable = written + events, unreadable + bad
    sys.stderr.write(f"{written} events exported\n")
    if unreadable:
        fail(f"{unreadable} of them can't be read by this version; their data says unreadable")


def _texts(
    connection: "psycopg.Connection[DictRow]",
    reader: "OrderReader",
    selection: "Selection",
    form: Format,
    *,
    personal: bool,
) -> Iterator[tuple[bytes, int, int]]:
    """Write chunk by chunk: the text, how many events are in it, and how many can't be read."""
    from api.cli.export_rows import csv_header, csv_lines, export_row, json_lines
    from infrastructure.event_store.export import read_selected
    from infrastructure.event_store.order_reader import UnreadableEventError

    if form is Format.CSV:
        yield csv_header(), 0, 0
    with steps() as tell:
        for chunk in read_selected(connection, selection):
            opened = reader.open_each(chunk.entries, open_sealed=personal)
            rows = [export_row(*pair) for pair in zip(chunk.entries, opened, strict=True)]
            text = csv_lines(rows) if form is Format.CSV else json_lines(rows)
            yield text, len(rows), sum(isinstance(one, UnreadableEventError) for one in opened)
            done = chunk.entries[-1].position - chunk.first + 1
            tell("exporting", done, chunk.last - chunk.first + 1)


@contextmanager
def connected(postgres_url: str) -> Iterator["psycopg.Connection[DictRow]"]:
    """Connect for a command; each statement commits by itself."""
    import psycopg
    from psycopg.rows import dict_row

    with psycopg.connect(
        postgres_url, autocommit=True, connect_timeout=5, row_factory=dict_row
    ) as connection:
        yield connection


def _orders(
    connection: "psycopg.Connection[DictRow]",
    reader: "OrderReader",
    order: str | None,
    customer: str | None,
) -> "Sequence[OrderId] | None":
    """Name the orders that are asked for; None: all."""
    from domain.ids import CustomerId
    from infrastructure.event_store.customers import Customers

    orders = None if order is None else [find_order(reader, order)]
    if customer is None:
        return orders
    customers = Customers(connection)
    if customers.find(CustomerId(customer)) is None:
        fail(f"there is no customer {customer}")
    theirs = customers.orders(CustomerId(customer))
    return theirs if orders is None else [one for one in orders if one in theirs]


def _time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "give a time such as 2026-11-25T08:26:00Z", param_hint=option
        ) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
