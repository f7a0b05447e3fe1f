"""Where the rows wait: a temporary SQLite file, so that memory doesn't grow with the import.

Rule: a row's outcome is written here once and nowhere else; report and rejects file are read from
it, so they can't disagree. Orders come out in the order of their times and their rows sorted, so
that nothing depends on the order of the rows in the file.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from types import TracebackType
from typing import Self

from api.importing.reading import Record
from api.importing.rows import RefusedRow, Row
from api.importing.stock_codes import Kind

IN_ORDER = "order"
IN_CANCELLATION = "cancellation"
PAGE_CACHE_KIB = 16_384

_NEW_ROW = "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NEW_INVOICES = """
    INSERT INTO invoices (invoice, placed_at, customer, country)
    SELECT invoice, min(placed_at), min(customer), min(country)
    FROM rows WHERE outcome IS NULL AND NOT cancels
    GROUP BY invoice ORDER BY min(placed_at), invoice
"""
_NEW_RETURNS = """
    INSERT INTO returns (line, invoice, customer, sku, price_minor, quantity, happened_at)
    SELECT line, invoice, customer, sku, price_minor, -quantity, placed_at
    FROM rows WHERE outcome IS NULL AND cancels
    ORDER BY placed_at, invoice, sku, price_minor, quantity, line
"""
_MIXED = """
    UPDATE rows SET outcome = 'mixed_invoice' WHERE outcome IS NULL AND invoice IN (
        SELECT invoice FROM rows WHERE outcome IS NULL GROUP BY invoice
        HAVING min(customer) <> max(customer) OR min(country) <> max(country)
    )
"""


@dataclass(frozen=True, slots=True)
class Invoice:
    invoice: str
    placed_at: str
    customer: str
    country: str


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    line: int
    kind: Kind
    sku: str
    price_minor: int
    name: str
    quantity: int


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    line: int
    reason: str
    original: list[str]


class Spill:
    """The scratch database of one run. SQLite deletes its file on close, also after a SIGKILL."""

    def __init__(self) -> None:
        # The empty name is SQLite's own temporary database: a file, unlinked as it is opened.
        self.database = sqlite3.connect("", isolation_level=None)
        self.database.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;"
            f"PRAGMA cache_size = -{PAGE_CACHE_KIB};"
        )
        self.database.executescript(files("api.importing").joinpath("spill.sql").read_text("utf-8"))
        self.database.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.database.close()

    def add(self, record: Record, row: Row | RefusedRow) -> None:
        self.database.execute(
            "INSERT INTO originals VALUES (?, ?)", (record.line, json.dumps(record.original))
        )
        if isinstance(row, RefusedRow):
            values: tuple[object, ...] = (row.line, row.reason, str(row.amount), *[None] * 10)
        else:
            values = (
                row.line,
                None,
                str(row.amount),
                row.invoice,
                row.cancels,
                row.kind,
                row.sku,
                row.name,
                row.quantity,
                row.placed_at,
                row.price_minor,
                row.customer,
                row.country,
            )
        self.database.execute(_NEW_ROW, values)

    def group(self) -> int:
        """Sort the rows into invoices and returns; give how many invoices.

        An invoice with two customers or countries is refused whole: which is true isn't known.
        """
        self.database.execute("CREATE INDEX rows_by_invoice ON rows (invoice)")
        for statement in (_MIXED, _NEW_INVOICES, _NEW_RETURNS):
            self.database.execute(statement)
        (invoices,) = self.database.execute("SELECT count(*) FROM invoices").fetchone()
        return int(invoices)

    def invoices(self) -> Iterator[Invoice]:
        """Give the orders to be, the earliest first."""
        for values in self.database.execute(
            "SELECT invoice, placed_at, customer, country FROM invoices ORDER BY number"
        ):
            yield Invoice(*values)

    def invoice_rows(self, invoice: str) -> Iterator[InvoiceRow]:
        """Give the undecided rows of an invoice, by kind, sku, price and name."""
        for line, kind, *values in self.database.execute(
            "SELECT line, kind, sku, price_minor, name, quantity FROM rows"
            " WHERE invoice = ? AND outcome IS NULL ORDER BY kind, sku, price_minor, name, line",
            (invoice,),
        ):
            yield InvoiceRow(line, Kind(kind), *values)

    def settle_invoice(self, invoice: str, outcome: str) -> None:
        """Decide all undecided rows of an invoice."""
        self.database.execute(
            "UPDATE rows SET outcome = ? WHERE invoice = ? AND outcome IS NULL", (outcome, invoice)
        )

    def settle_row(self, line: int, outcome: str) -> None:
        self.database.execute(
            "UPDATE rows SET outcome = ? WHERE line = ? AND outcome IS NULL", (outcome, line)
        )

    def outcomes(self) -> Iterator[tuple[str | None, Kind | None, Decimal]]:
        """Give every row's outcome, kind and amount."""
        for outcome, kind, amount in self.database.execute(
            "SELECT outcome, kind, amount FROM rows"
        ):
            yield outcome, None if kind is None else Kind(kind), Decimal(amount)

    def refused(self) -> Iterator[RefusedRecord]:
        """Give the rows of the rejects file, by line."""
        for line, outcome, fields in self.database.execute(
            "SELECT line, outcome, fields FROM rows JOIN originals USING (line)"
            " WHERE outcome NOT IN (?, ?) ORDER BY line",
            (IN_ORDER, IN_CANCELLATION),
        ):
            yield RefusedRecord(line, outcome, json.loads(fields))
