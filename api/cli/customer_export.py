"""`export-customer`: all that is known of one customer, for that customer.

What the GDPR grants in article 15 (access) and article 20 (a structured, machine-readable form):
one JSON document, order by order.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from api.cli.audit_export import connected
from api.cli.orders import fail
from api.cli.output_file import output
from api.cli.steps import steps
from api.cli.store import load_environment

if TYPE_CHECKING:
    from domain.ids import OrderId
    from infrastructure.event_store.customers import Customer
    from infrastructure.event_store.order_reader import OrderReader


def register(app: typer.Typer) -> None:
    app.command("export-customer")(export_customer)


def export_customer(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    *,
    path: Annotated[
        Path | None,
        typer.Option("--output", help="A file, written whole or not at all; else standard output."),
    ] = None,
) -> None:
    """Give a customer their data: every order of theirs, and its history, in the clear."""
    from domain.ids import CustomerId
    from infrastructure import composition
    from infrastructure.event_store.customers import Customers
    from infrastructure.settings import StoreSettings

    load_environment()
    store = StoreSettings()
    with connected(store.postgres_url.get_secret_value()) as connection:
        customers = Customers(connection)
        found = customers.find(CustomerId(customer))
        if found is None:
            fail(f"there is no customer {customer}")
        orders = customers.orders(found.customer_id)
    reader = composition.order_reader(store, pool_size=1)
    with output(path) as out:
        for text in _document(found, orders, reader):
            out.write(text)
    sys.stderr.write(f"{len(orders)} orders exported\n")
    if found.forgotten_at is not None:
        when = found.forgotten_at.isoformat(sep=" ", timespec="seconds")
        sys.stderr.write(f"customer {customer} was forgotten at {when}: nothing personal is left\n")


def _document(
    customer: "Customer", orders: "Sequence[OrderId]", reader: "OrderReader"
) -> Iterator[bytes]:
    """Write the document piece by piece: one order at a time is in memory."""
    head = {
        "customer_id": customer.customer_id,
        "forgotten_at": customer.forgotten_at,
        "exported_at": datetime.now(UTC),
    }
    yield orjson.dumps(head, option=orjson.OPT_UTC_Z)[:-1] + b',"orders":['
    with steps() as tell:
        for index, order_id in enumerate(orders):
            yield (b"," if index else b"") + _order(order_id, reader)
            tell("exporting", index + 1, len(orders))
    yield b"]}\n"


def _order(order_id: "OrderId", reader: "OrderReader") -> bytes:
    from projections.order.document import fold
    from projections.order.history import history_page

    events = reader.events(order_id)
    document, page = fold(events), history_page(events)
    if document is None or page is None:
        raise AssertionError(f"{order_id} is in the log and has no events")
    order = {"document": document.body, "history": page.items}
    return orjson.dumps(order, option=orjson.OPT_UTC_Z)
