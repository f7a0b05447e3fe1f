"""Finds what each cancelled row cancels. The file doesn't say: it has no reference to the sale.

Rule: a row is matched only where exactly one line can be meant - same customer, sku and price,
an earlier order of this file, enough pieces left - and matching looks at the file and at which
orders stand, nothing else. So a run that was killed and started again matches the same, and its
repeated cancellations carry the same idempotency keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from api.importing.grouping import Order
from api.importing.spill import Spill

NO_SINGLE_MATCH = "no_single_match"

_CANDIDATES = """
    SELECT rowid, invoice, order_id, line_number FROM sold
    WHERE customer = ? AND sku = ? AND price_minor = ? AND placed_at < ? AND remaining >= ?
    LIMIT 2
"""
_MATCHES = """
    SELECT order_invoice, m.order_id, m.invoice,
        min(happened_at) OVER (PARTITION BY order_invoice, m.invoice) AS cancelled_at,
        m.line, m.line_number, m.sku, m.quantity, sold.price_minor
    FROM matches AS m
        JOIN returns ON returns.number = m.return_number
        JOIN sold ON sold.rowid = m.sold_rowid
    ORDER BY order_invoice, cancelled_at, m.invoice, m.line_number, m.return_number
"""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What one cancellation invoice takes back of one order.

    Attributes:
        cancelled_at: the earliest time of its rows, RFC 3339.
        quantities: pieces by (sku, line number), in the order of the line numbers.
        amount_minor: what the pieces cost when they were sold, together.
        rows: the lines of the file that it consists of.
    """

    invoice: str
    order_invoice: str
    order_id: str
    cancelled_at: str
    quantities: dict[tuple[str, int], int]
    amount_minor: int
    rows: tuple[int, ...]

    def body(self) -> dict[str, object]:
        """Give the body of `POST /v1/orders/{id}/cancellations`."""
        return {
            "reason": f"cancellation {self.invoice}",
            "cancelled_at": self.cancelled_at,
            "lines": [
                {"sku": sku, "quantity": quantity, "line_number": line_number}
                for (sku, line_number), quantity in self.quantities.items()
            ],
        }


def note_sold(spill: Spill, order: Order, order_id: str) -> None:
    """Remember the lines of an order that stands. A guest never comes back as the same customer."""
    if not order.customer:
        return
    spill.database.executemany(
        "INSERT INTO sold VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                order.customer,
                line.sku,
                line.unit_price_minor,
                order.placed_at,
                order.invoice,
                order_id,
                number,
                line.quantity,
            )
            for number, line in enumerate(order.lines, start=1)
        ),
    )


def match(spill: Spill) -> int:
    """Match the cancelled rows, the earliest first; give how many orders are hit."""
    database = spill.database
    for number, line, invoice, customer, sku, price, quantity, at in database.execute(
        "SELECT number, line, invoice, customer, sku, price_minor, quantity, happened_at"
        " FROM returns ORDER BY number"
    ):
        candidates = database.execute(_CANDIDATES, (customer, sku, price, at, quantity)).fetchall()
        if len(candidates) != 1:
            spill.settle_row(line, NO_SINGLE_MATCH)
            continue
        [(sold, order_invoice, order_id, line_number)] = candidates
        database.execute(
            "UPDATE sold SET remaining = remaining - ? WHERE rowid = ?", (quantity, sold)
        )
        database.execute(
            "INSERT INTO matches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, sold, line, invoice, order_invoice, order_id, line_number, sku, quantity),
        )
    (orders,) = database.execute("SELECT count(DISTINCT order_invoice) FROM matches").fetchone()
    return int(orders)


def cancellations(spill: Spill) -> Iterator[list[Cancellation]]:
    """Give the cancellations by order, those of one order together in the order of their times.

    Those of one order wait for each other, so that its history is the same whoever is faster.
    """
    by_order = groupby(spill.database.execute(_MATCHES), key=lambda row: (row[0], row[1]))
    for (order_invoice, order_id), of_order in by_order:
        found: list[Cancellation] = []
        for (invoice, at), of_invoice in groupby(of_order, key=lambda row: (row[2], row[3])):
            quantities: dict[tuple[str, int], int] = {}
            lines: list[int] = []
            amount_minor = 0
            for *_, line, line_number, sku, quantity, price_minor in of_invoice:
                lines.append(line)
                amount_minor += quantity * price_minor
                quantities[sku, line_number] = quantities.get((sku, line_number), 0) + quantity
            found.append(
                Cancellation(
                    invoice, order_invoice, order_id, at, quantities, amount_minor, tuple(lines)
                )
            )
        yield found
