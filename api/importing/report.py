"""What became of the file, added up and checked against it.

Rule: three ways of counting must agree to the penny - the file as it was read, the rows by where
they ended, and the orders and cancellations as they were sent. If they don't, that is an error of
the import and is said as one; a report that merely looks right is worth nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from api.importing.rows import EXACT
from api.importing.spill import IN_CANCELLATION, IN_ORDER, Spill
from api.importing.stock_codes import Kind

UNDECIDED = "undecided"


@dataclass(slots=True)
class Tally:
    """A number of rows and the sum of their quantity x price, in pounds."""

    rows: int = 0
    amount: Decimal = Decimal(0)

    def add(self, amount: Decimal) -> None:
        self.rows += 1
        self.amount = EXACT.add(self.amount, amount)


@dataclass(slots=True)
class Requests:
    """How many orders, or cancellations, were done now, were there already, or were refused."""

    done: int = 0
    already: int = 0
    refused: int = 0


@dataclass(slots=True)
class Report:
    """The outcome of a run.

    Attributes:
        total: all rows, as counted while reading.
        in_orders: rows that are part of an order that stands; so for `in_cancellations`.
        rejected: rows by reason.
        sent_gross_minor: lines and shipping of the orders that stand, as sent, in pennies; so
            for discounts and cancelled pieces.
        without_country: orders by the name of a country that has no code.
        example_order_id: the earliest order of the file that stands.
        placing_s: seconds from the first order sent to the last answer.
    """

    file: str
    rejects: Path
    dry_run: bool
    total: Tally = field(default_factory=Tally)
    in_orders: Tally = field(default_factory=Tally)
    in_cancellations: Tally = field(default_factory=Tally)
    rejected: dict[str, Tally] = field(default_factory=dict)
    orders: Requests = field(default_factory=Requests)
    cancellations: Requests = field(default_factory=Requests)
    sent_gross_minor: int = 0
    sent_discount_minor: int = 0
    sent_cancelled_minor: int = 0
    without_country: dict[str, int] = field(default_factory=dict)
    example_order_id: str | None = None
    placing_s: float = 0.0
    duration_s: float = 0.0
    faults: tuple[str, ...] = ()

    @property
    def rejected_rows(self) -> int:
        return sum(tally.rows for tally in self.rejected.values())

    def add_up(self, spill: Spill) -> None:
        """Count the rows by where they ended and compare: see `faults`."""
        gross, discount = Decimal(0), Decimal(0)
        for outcome, kind, amount in spill.outcomes():
            if outcome == IN_ORDER:
                self.in_orders.add(amount)
                if kind is Kind.DISCOUNT:
                    discount = EXACT.add(discount, abs(amount))
                else:
                    gross = EXACT.add(gross, amount)
            elif outcome == IN_CANCELLATION:
                self.in_cancellations.add(amount)
            else:
                self.rejected.setdefault(outcome or UNDECIDED, Tally()).add(amount)
        self.rejected = dict(sorted(self.rejected.items()))
        self.faults = tuple(self._faults(gross, discount))

    def _faults(self, gross: Decimal, discount: Decimal) -> Iterator[str]:
        parts = [self.in_orders, self.in_cancellations, *self.rejected.values()]
        rows, amount = sum(part.rows for part in parts), Decimal(0)
        for part in parts:
            amount = EXACT.add(amount, part.amount)
        for name, of_file, of_rest in (
            ("rows", Decimal(self.total.rows), Decimal(rows)),
            ("quantity x price", self.total.amount, amount),
            ("orders as sent", gross, _pounds(self.sent_gross_minor)),
            ("discounts as sent", discount, _pounds(self.sent_discount_minor)),
            (
                "cancellations as sent",
                -self.in_cancellations.amount,
                _pounds(self.sent_cancelled_minor),
            ),
        ):
            if of_file != of_rest:
                yield f"{name}: {of_file} in the file, {of_rest} accounted for"
        if UNDECIDED in self.rejected:
            yield f"{self.rejected[UNDECIDED].rows} rows ended nowhere"


def _pounds(minor: int) -> Decimal:
    return EXACT.divide(Decimal(minor), Decimal(100))
