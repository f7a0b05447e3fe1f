"""What decisions need to know of an order's returns, folded from their events. No rules here."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never

from domain.aggregate import Aggregate
from domain.ids import OrderId, ReturnId
from domain.returns.events import (
    ReturnApproved,
    ReturnCancelled,
    ReturnedLine,
    ReturnEvent,
    ReturnReceived,
    ReturnRefunded,
    ReturnRequested,
)


class ReturnStage(StrEnum):
    """How far one return has come; `status.py` has the word for the whole order."""

    REQUESTED = "requested"
    APPROVED = "approved"
    PARTIALLY_RECEIVED = "partially_received"
    RECEIVED = "received"
    """All that will come has come; some of its money may still be owed."""
    REFUNDED = "refunded"
    CANCELLED = "cancelled"
    """Nothing came, and nothing will."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Pieces that came together; money is given back by receipt.

    Attributes:
        receipt_number: from 1 in its return.
        refund_minor: what is owed for them, in minor units of the order's currency.
        restock: how many of them can be sold again.
        refunded_minor: what was given back of it when that was last told: 0 where it was never
            ours to give, or people have left it out. None: it is still to come.
    """

    receipt_number: int
    refund_minor: int
    restock: int
    refunded_minor: int | None = None

    @property
    def refunded(self) -> bool:
        return self.refunded_minor is not None


@dataclass(frozen=True, slots=True)
class Return:
    """One return.

    Attributes:
        lines: as requested.
        received: pieces that have come, by line number.
        cancelled: nothing more of it will come.
    """

    return_id: ReturnId
    lines: tuple[ReturnedLine, ...]
    received: Mapping[int, int]
    receipts: tuple[Receipt, ...] = ()
    approved: bool = False
    cancelled: bool = False

    @property
    def outstanding(self) -> Mapping[int, int]:
        """Pieces that are still to come, by line number; of a line that it does not name, none."""
        left = Counter[int]()
        if not self.cancelled:
            for line in self.lines:
                left[line.line_number] += line.quantity
            left.subtract(self.received)
        return left

    @property
    def complete(self) -> bool:
        """Whether nothing more of it will come."""
        return not any(self.outstanding.values())

    @property
    def stage(self) -> ReturnStage:
        """How far it has come. Receipts come after the approval, so they are looked at first."""
        if self.receipts:
            if not self.complete:
                return ReturnStage.PARTIALLY_RECEIVED
            refunded = all(receipt.refunded for receipt in self.receipts)
            return ReturnStage.REFUNDED if refunded else ReturnStage.RECEIVED
        if self.cancelled:
            return ReturnStage.CANCELLED
        return ReturnStage.APPROVED if self.approved else ReturnStage.REQUESTED


@dataclass(frozen=True, slots=True)
class Returns:
    """All returns of an order, in the order in which they were asked for."""

    order_id: OrderId
    returns: tuple[Return, ...]

    def find(self, return_id: ReturnId) -> Return | None:
        return next((one for one in self.returns if one.return_id == return_id), None)


def evolve(returns: Returns | None, event: ReturnEvent) -> Returns:
    """Fold one event. An event of a return that nobody asked for can't be, and crashes."""
    if isinstance(event, ReturnRequested):
        before = () if returns is None else returns.returns
        asked = Return(event.return_id, event.lines, MappingProxyType({}))
        return Returns(event.order_id, (*before, asked))
    if returns is None or returns.find(event.return_id) is None:
        raise AssertionError(f"{type(event).__name__} before ReturnRequested")
    return replace(
        returns,
        returns=tuple(
            _moved(one, event) if one.return_id == event.return_id else one
            for one in returns.returns
        ),
    )


def _moved(
    one: Return, event: ReturnApproved | ReturnReceived | ReturnRefunded | ReturnCancelled
) -> Return:
    match event:
        case ReturnApproved():
            return replace(one, approved=True)
        case ReturnReceived():
            received = dict(one.received)
            for line in event.lines:
                received[line.line_number] = received.get(line.line_number, 0) + line.quantity
            restock = sum(line.restock for line in event.lines)
            receipt = Receipt(event.receipt_number, event.refund_minor, restock)
            return replace(
                one, received=MappingProxyType(received), receipts=(*one.receipts, receipt)
            )
        case ReturnRefunded(receipt_number=number, refund_minor=back):
            return replace(
                one,
                receipts=tuple(
                    replace(receipt, refunded_minor=back)
                    if receipt.receipt_number == number
                    else receipt
                    for receipt in one.receipts
                ),
            )
        case ReturnCancelled():
            return replace(one, cancelled=True)
        case _:
            assert_never(event)


RETURNS: Aggregate[Returns, ReturnEvent] = Aggregate("returns.v2", Returns, evolve)
