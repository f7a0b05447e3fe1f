"""One row of the file: what it says, or why it can't be part of an order or a cancellation.

Rule: a row is judged by itself alone and gets one reason, the first that applies. Its amount
(quantity x price) is exact and counts wherever both numbers can be read, refused or not.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, Inexact

from api.importing.reading import Record
from api.importing.stock_codes import Kind, kind_of
from domain.money import LARGEST_AMOUNT_MINOR
from domain.order.decisions import LARGEST_QUANTITY

EXACT = Context(prec=150, traps=[Inexact])
"""Arithmetic that would rather crash than round."""
DATE_FORMATS = ("%Y-%m-%d %H:%M:%S", "%m-%d-%Y %H:%M")
LONGEST = {"InvoiceNo": 100, "StockCode": 64, "Description": 200, "CustomerID": 100, "Country": 100}
"""Characters: what the API takes, so that one long text doesn't refuse a whole order."""

_QUANTITY = re.compile(r"([-+]?[0-9]{1,30})(?:\.0*)?")
_PRICE = re.compile(r"-?(?:[0-9]{1,30}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})")
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and surrogates: what is left of bytes that weren't UTF-8."""
_SPACE = re.compile(r"[ \t\r\n]+")


@dataclass(frozen=True, slots=True)
class Row:
    """A row that may become part of an order or of a cancellation.

    Attributes:
        placed_at: RFC 3339. The file's times are a UK shop's, without a zone; taken as UTC.
        quantity: as in the file: negative in a cancellation.
        customer: empty for a guest.
        country: the name in the file, possibly empty.
    """

    line: int
    invoice: str
    cancels: bool
    kind: Kind
    sku: str
    name: str
    quantity: int
    placed_at: str
    price_minor: int
    customer: str
    country: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that ends in the rejects file. `amount` is zero where its numbers can't be read."""

    line: int
    reason: str
    amount: Decimal


def parse_row(record: Record) -> Row | RefusedRow:
    """Judge a record."""
    if record.fields is None:
        return RefusedRow(record.line, "malformed_row", Decimal(0))
    fields = {**record.fields, "Description": _SPACE.sub(" ", record.fields["Description"])}
    quantity, price = _quantity(fields["Quantity"]), _price(fields["UnitPrice"])
    if quantity is None or price is None:
        unfit = _has_unfit_text(fields)
        return RefusedRow(record.line, "invalid_text" if unfit else "malformed_row", Decimal(0))
    amount = EXACT.multiply(Decimal(quantity), price)
    placed_at = _time(fields["InvoiceDate"])
    reason = _text_fault(fields) or ("malformed_row" if placed_at is None else None)
    cancels = fields["InvoiceNo"].startswith("C")
    kind = kind_of(fields["StockCode"])
    if reason is None:
        if cancels:
            reason = _cancellation_fault(fields["StockCode"], kind, quantity)
        else:
            reason = _sale_fault(fields["StockCode"], kind)
        reason = reason or _number_fault(kind, quantity, price, cancels=cancels)
    if reason is not None or placed_at is None:
        return RefusedRow(record.line, reason or "malformed_row", amount)
    return Row(
        line=record.line,
        invoice=fields["InvoiceNo"],
        cancels=cancels,
        kind=kind,
        sku=fields["StockCode"],
        name=fields["Description"],
        quantity=quantity,
        placed_at=placed_at,
        price_minor=int(EXACT.multiply(price, Decimal(100))),
        customer=re.sub(r"\.0+\Z", "", fields["CustomerID"]),
        country=fields["Country"],
        amount=amount,
    )


def _cancellation_fault(code: str, kind: Kind, quantity: int) -> str | None:
    if kind is Kind.FEE:
        return f"fee_{code.upper()}"
    if kind is not Kind.GOODS:
        # An order's shipping and discount aren't lines: there is nothing that it could cancel.
        return f"{kind}_in_cancellation"
    if quantity > 0:
        return "positive_quantity_in_cancellation"
    return None if quantity else "zero_quantity_in_cancellation"


def _sale_fault(code: str, kind: Kind) -> str | None:
    return f"fee_{code.upper()}" if kind is Kind.FEE else None


def _number_fault(kind: Kind, quantity: int, price: Decimal, *, cancels: bool) -> str | None:
    if price <= 0:
        return "price_not_positive"
    # The shop books a discount as minus one piece: its sign says nothing about the sale.
    signed = cancels or kind is Kind.DISCOUNT
    if quantity == 0 or (quantity < 0 and not signed):
        return "quantity_not_positive"
    if abs(quantity) > LARGEST_QUANTITY:
        return "quantity_out_of_range"
    pennies = EXACT.multiply(price, Decimal(100))
    if pennies > LARGEST_AMOUNT_MINOR:
        return "price_out_of_range"
    return None if pennies == int(pennies) else "price_not_in_pennies"


def _text_fault(fields: dict[str, str]) -> str | None:
    if _has_unfit_text(fields):
        return "invalid_text"
    if not fields["InvoiceNo"].strip() or not fields["StockCode"].strip():
        return "malformed_row"
    if any(len(fields[name]) > longest for name, longest in LONGEST.items()):
        return "text_too_long"
    return None


def _has_unfit_text(fields: dict[str, str]) -> bool:
    return any(_UNFIT.search(value) for value in fields.values())


def _quantity(text: str) -> int | None:
    found = _QUANTITY.fullmatch(text)
    return int(found[1]) if found else None


def _price(text: str) -> Decimal | None:
    return Decimal(text) if _PRICE.fullmatch(text) else None


def _time(text: str) -> str | None:
    for date_format in DATE_FORMATS:
        try:
            return datetime.strptime(text, date_format).isoformat() + "Z"  # noqa: DTZ007
        except ValueError:
            continue
    return None
