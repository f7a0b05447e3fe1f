"""What was asked of a payment's provider and not answered: the calls that are still to be made.

Rule: it is read from the payment alone. So what a process was doing when it was killed is no
secret, and a call that was answered meanwhile is not made again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from domain.payment.state import Outcome, Payment


@dataclass(frozen=True, slots=True)
class Authorize:
    attempt: int

    @property
    def key(self) -> str:
        return f"authorize/{self.attempt}"


@dataclass(frozen=True, slots=True)
class Capture:
    capture_id: str
    try_number: int

    @property
    def key(self) -> str:
        return f"capture/{self.capture_id}/{self.try_number}"


@dataclass(frozen=True, slots=True)
class Void:
    """Attributes: stray: the attempt, if it is not the one that pays for the order."""

    stray: int | None

    @property
    def key(self) -> str:
        return f"void/{self.stray or ''}"


@dataclass(frozen=True, slots=True)
class Refund:
    refund_id: str
    try_number: int

    @property
    def key(self) -> str:
        return f"refund/{self.refund_id}/{self.try_number}"


Call: TypeAlias = Authorize | Capture | Void | Refund


def open_calls(payment: Payment | None) -> Sequence[Call]:
    """List what was asked for and not answered."""
    return () if payment is None else tuple(_open_calls(payment))


def _open_calls(payment: Payment) -> Iterator[Call]:
    if payment.open_attempt is not None:
        yield Authorize(payment.open_attempt)
    for capture_id, capture in payment.captures.items():
        if capture.outcome is Outcome.PENDING:
            yield Capture(capture_id, capture.tries)
    if payment.closed and payment.voided_minor is None and payment.open_attempt is None:
        yield Void(None)
    yield from (Void(stray) for stray in payment.strays)
    for refund_id, refund in payment.refunds.items():
        if refund.outcome is Outcome.PENDING:
            yield Refund(refund_id, refund.tries)
