"""`export-customer`: all that is known of one customer, for that customer.

What the GDPR grants in article 15 (access) and article 20 (a structured, machine-readable form):
one JSON document, order by order. Rule: an order that this version can't read holds back no other;
it is named, in the document too, for somebody has a right to it.
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
    from projections.order.document import OrderDocument
    from projections.ports import OrderHistoryPage


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
        missing: dict[OrderId, str] = {}
        for text in document(found, orders, reader, missing):
            out.write(text)
    sys.stderr.write(f"{len(orders) - len(missing)} orders exported\n")
    if found.forgotten_at is not None:
        when = found.forgotten_at.isoformat(sep=" ", timespec="seconds")
        sys.stderr.write(f"customer {customer} was forgotten at {when}: nothing personal is left\n")
    if missing:
        names = "\n".join(f"  {order_id}: {why}" for order_id, why in missing.items())
        fail(f"this version can't read these orders, so they are missing:\n{names}")


def document(
    customer: "Customer",
    orders: "Sequence[OrderId]",
    reader: "OrderReader",
    missing: "dict[OrderId, str]",
) -> Iterator[bytes]:
    """Write the document piece by piece: one order at a time is in memory.

    `missing` is filled with the orders that can't be read, and why.

    Raises:
        UnavailableError: the event store can't be reached.
        MasterKeyWrongError: nobody's data can be read with this key.
    """
    from domain.errors import UnavailableError
    from infrastructure.event_store.sealing import MasterKeyWrongError

    head = {
        "customer_id": customer.customer_id,
        "forgotten_at": customer.forgotten_at,
        "exported_at": datetime.now(UTC),
    }
    yield orjson.dumps(head, option=orjson.OPT_UTC_Z)[:-1] + b',"orders":['
    with steps() as tell:
        written = 0
        for index, order_id in enumerate(orders):
            try:
                folded, page = _read(order_id, reader)
            except (UnavailableError, MasterKeyWrongError):
                raise
            except Exception as error:  # noqa: BLE001 - all else is bytes and pure functions: the order
                missing[order_id] = _why(error)
            else:
                yield (b"," if written else b"") + _written(folded, page)
                written += 1
            tell("exporting", index + 1, len(orders))
    left_out = [{"order_id": str(one), "why": why} for one, why in missing.items()]
    yield b'],"missing":' + orjson.dumps(left_out) + b"}\n"


def _why(error: Exception) -> str:
    """Say what went wrong, without values from the events."""
    from infrastructure.event_store.order_reader import UnreadableEventError

    return str(error) if isinstance(error, UnreadableEventError) else type(error).__name__


def _read(order_id: "OrderId", reader: "OrderReader") -> "tuple[OrderDocument, OrderHistoryPage]":
    from projections.order.document import fold
    from projections.order.history import history_page

    events = reader.events(order_id)
    folded, page = fold(events), history_page(events)
    if folded is None or page is None:
        raise AssertionError(f"{order_id} is in the log and has no events")
    return folded, page


def _written(folded: "OrderDocument", page: "OrderHistoryPage") -> bytes:
    """Write an order as its customer may see it: as over HTTP, without staff's names and words."""
    from api.order.for_customers import shown_actor, shown_body, shown_changes, shown_words
    from domain.envelope import Actor, Role
    from infrastructure.redis.stored_document import body_bytes
    from projections.order.history import as_json

    customer = Actor(page.customer_id, Role.CUSTOMER)
    history = [
        as_json(item)
        | {"actor": shown_actor(item, customer), "changes": shown_changes(item.changes, customer)}
        | dict(shown_words(item, customer))
        for item in page.items
    ]
    document = orjson.Fragment(shown_body(body_bytes(folded), customer))
    return orjson.dumps({"document": document, "history": history}, option=orjson.OPT_UTC_Z)
