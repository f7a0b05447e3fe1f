"""Rows of an invoice become one order, the same one however the rows lie in the file.

Rule: the body is a function of the set of rows: lines sorted by sku and price, equal ones added
up, the name by majority. The API compares a repeated order by its body, so anything that
depended on the order of the rows would make the same invoice look like another one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from api.importing.country_codes import country_code
from api.importing.spill import Invoice, InvoiceRow, Spill
from api.importing.stock_codes import Kind
from domain.money import LARGEST_AMOUNT_MINOR
from domain.order.decisions import LARGEST_QUANTITY, MOST_LINES


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the order; its place in the order is its line number, from 1."""

    sku: str
    name: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class Order:
    """What is sent for an invoice. `country_code` is None where the name has none."""

    invoice: str
    placed_at: str
    customer: str
    country: str
    country_code: str | None
    lines: tuple[Line, ...]
    shipping_minor: int
    discount_minor: int

    @property
    def customer_id(self) -> str:
        return f"c-{self.customer}" if self.customer else f"guest-{self.invoice}"

    @property
    def gross_minor(self) -> int:
        return sum(line.quantity * line.unit_price_minor for line in self.lines) + (
            self.shipping_minor
        )

    def body(self) -> dict[str, object]:
        """Give the body of `POST /v1/orders`."""
        body: dict[str, object] = {
            "external_reference": self.invoice,
            "currency": "GBP",
            "customer": {"id": self.customer_id},
            "lines": [
                {
                    "sku": line.sku,
                    "name": line.name,
                    "quantity": line.quantity,
                    "unit_price_minor": line.unit_price_minor,
                }
                for line in self.lines
            ],
            "shipping_minor": self.shipping_minor,
            "discount_minor": self.discount_minor,
            "placed_at": self.placed_at,
            "payment": "settled_elsewhere",
        }
        if self.country_code is not None:
            body["shipping_address"] = {"country": self.country_code}
        return body


def orders(spill: Spill) -> Iterator[Order]:
    """Give the orders, the earliest first; what can't be one is refused on the way."""
    for invoice in spill.invoices():
        found = _assemble(spill, invoice)
        if isinstance(found, str):
            spill.settle_invoice(invoice.invoice, found)
        else:
            yield found


def _assemble(spill: Spill, invoice: Invoice) -> Order | str:
    """Build the order, or give the reason why it can't be. Memory: the most lines of an order."""
    lines: list[Line] = []
    sums = {Kind.SHIPPING: 0, Kind.DISCOUNT: 0}
    by_line = groupby(
        spill.invoice_rows(invoice.invoice), key=lambda row: (row.kind, row.sku, row.price_minor)
    )
    for (kind, sku, price_minor), rows in by_line:
        if kind is not Kind.GOODS:
            sums[kind] += sum(abs(row.quantity) for row in rows) * price_minor
            continue
        if len(lines) == MOST_LINES:
            return "too_many_lines"
        name, quantity = _added_up(rows)
        if quantity > LARGEST_QUANTITY:
            return "quantity_out_of_range"
        lines.append(Line(sku, name or sku, quantity, price_minor))
    if not lines:
        return "no_goods"
    order = Order(
        invoice=invoice.invoice,
        placed_at=invoice.placed_at,
        customer=invoice.customer,
        country=invoice.country,
        country_code=country_code(invoice.country),
        lines=tuple(lines),
        shipping_minor=sums[Kind.SHIPPING],
        discount_minor=sums[Kind.DISCOUNT],
    )
    if order.gross_minor > LARGEST_AMOUNT_MINOR:
        return "total_too_large"
    # Not without its discount: that would be a sale at a price that was never asked.
    return "discount_above_total" if order.discount_minor > order.gross_minor else order


def _added_up(rows: Iterator[InvoiceRow]) -> tuple[str, int]:
    """Give the most frequent name that isn't empty, the alphabet's first of equals, and the sum."""
    best, most, quantity = "", 0, 0
    for name, same in groupby(rows, key=lambda row: row.name):
        count = 0
        for row in same:
            count += 1
            quantity += row.quantity
        if name and count > most:
            best, most = name, count
    return best, quantity
