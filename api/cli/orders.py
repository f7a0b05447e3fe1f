"""Which order a person means: by its id, or by its number.

Rule: every command that takes an order takes both, and reads them in this one way.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn
from uuid import UUID

import typer

if TYPE_CHECKING:
    from domain.ids import OrderId
    from infrastructure.event_store.order_reader import OrderReader

HELP = "An order's id, or its number such as 7K3M-92QX."


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


@contextmanager
def told_if_unreadable(order: str) -> Iterator[None]:
    """End with exit code 1 where an event of the order can't be read: nothing can be decided."""
    from commands.ports import StreamUnreadableError
    from infrastructure.event_store.order_reader import UnreadableEventError

    try:
        yield
    except (StreamUnreadableError, UnreadableEventError) as error:
        fail(
            f"this version can't read {order}: {error}; see `dead-letters show {order}`,"
            " and `audit verify --full` for whether the log is what it was"
        )


def fail(message: str) -> NoReturn:
    """Say what is wrong, and end with exit code 1."""
    sys.stdout.flush()
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(1)
