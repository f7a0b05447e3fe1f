"""A customer in the event store: their key, and which orders are theirs.

Rule: deleting the key is the point of no return, and it commits alone. All that follows (see
`commands/order/forget.py`) can be done again until it is done.

The log has no index by customer, because every append would pay for it. Finding the orders of
one is a scan of the log in the database: rare, and some seconds for a million events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import DictRow

from domain.ids import CustomerId, OrderId

FIND = "SELECT forgotten_at FROM customer_keys WHERE customer_id = %s"
FORGET = "SELECT forget_customer(%s) AS forgotten_at"
ORDERS = (
    "SELECT order_id, state FROM events"
    " WHERE topic LIKE 'order.placed.v%%' AND position(%b::bytea IN state) > 0"
    " ORDER BY notification_id"
)
COUNT_EVENTS = "SELECT count(*) AS events FROM events WHERE order_id = ANY(%s)"
VACUUM = "VACUUM customer_keys"


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody who has ordered. `forgotten_at`: when their key was deleted, if it was."""

    customer_id: CustomerId
    forgotten_at: datetime | None


class _Data(msgspec.Struct):
    customer_id: str


class _State(msgspec.Struct):
    data: _Data


_decoder = msgspec.json.Decoder(_State)


class Customers:
    """Asks over one connection in autocommit; to forget, its role must be the owner's."""

    def __init__(self, connection: psycopg.Connection[DictRow]) -> None:
        self._connection = connection

    def find(self, customer_id: CustomerId) -> Customer | None:
        """Look somebody up; None: nobody of this id ever ordered."""
        row = self._connection.execute(FIND, [customer_id]).fetchone()
        return None if row is None else Customer(customer_id, row["forgotten_at"])

    def delete_key(self, customer_id: CustomerId) -> datetime:
        """Forget a customer for good; give when that was, now or earlier.

        The old row is then cleared out of the table's file, as far as no open transaction
        needs it; backups keep the wrapped key for as long as they are kept.
        """
        row: Any = self._connection.execute(FORGET, [customer_id]).fetchone()
        self._connection.execute(VACUUM)
        forgotten_at: datetime = row["forgotten_at"]
        return forgotten_at

    def orders(self, customer_id: CustomerId) -> Sequence[OrderId]:
        """Find a customer's orders, oldest first: a scan of the log."""
        needle = b'"customer_id":' + msgspec.json.encode(customer_id)
        rows = self._connection.execute(ORDERS, [needle])
        # The bytes may stand elsewhere in the payload; what they are is told by reading it.
        return [
            OrderId(row["order_id"]) for row in rows if _may_be_of(customer_id, bytes(row["state"]))
        ]

    def count_events(self, orders: Sequence[OrderId]) -> int:
        row: Any = self._connection.execute(COUNT_EVENTS, [list(orders)]).fetchone()
        return int(row["events"])


def _may_be_of(customer_id: CustomerId, state: bytes) -> bool:
    """Whether an order is a customer's; so is one that names them and can't be read any further."""
    try:
        return _decoder.decode(state).data.customer_id == customer_id
    except (ValueError, RecursionError):
        return True
