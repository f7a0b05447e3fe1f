"""What the saga must know of the other aggregates of an order: where each stands, and no more.

Rule: facts are read from the logs, all of them before a decision, and never remembered. So
whatever came twice, late or out of order makes no difference to what is still missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from domain.ids import ReturnId
from domain.order.parcels import Parcels
from domain.payment.events import DeclineCode

REST = "rest"
"""The capture of what is still owed once all is shipped; other captures are for one parcel."""
SURPLUS = "surplus"
"""The refund of what was taken beyond what is owed, as `surplus/1`; others are for a receipt."""
BY_HAND = "manual"
"""A refund that people asked for, as `manual/<id>`: the saga asks for none of these by itself."""


def _no_pieces() -> Mapping[int, int]:
    return MappingProxyType({})


def _no_money() -> Mapping[str, int]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AllocationFacts:
    """The order's stock. Pieces are by line number.

    Attributes:
        reserved: whether all lines were ever held.
        short: the numbers of the lines that fell short; then nothing was held.
        held: pieces reserved or committed, and neither shipped nor released.
        shipped: pieces that have left the shelves with a parcel, whether they came back or not.
        shipments: the parcels of which inventory has heard that they left.
        restocked: the receipts (`ReceiptFacts.subject`) whose pieces are for sale again.
    """

    reserved: bool = False
    short: tuple[int, ...] = ()
    committed: bool = False
    held: Mapping[int, int] = field(default_factory=_no_pieces)
    shipped: Mapping[int, int] = field(default_factory=_no_pieces)
    shipments: frozenset[str] = frozenset()
    restocked: frozenset[str] = frozenset()

    @property
    def holds_any(self) -> bool:
        return any(self.held.values())

    @property
    def lost(self) -> bool:
        """Whether the reservation ended before it was committed."""
        return self.reserved and not self.committed and not self.holds_any


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """The order's money, in minor units of its currency.

    Attributes:
        attempt: the latest authorization that was requested; 0: none was.
        pending: an authorization or a capture was requested, and nobody knows how it ended; or one
            came too late, and holds money for nothing.
        authorized: whether the latest attempt succeeded; it stays so after captures and a void.
        decline: why the latest attempt failed, if it did.
        held_minor: authorized, and neither captured nor voided.
        voided: whether a void was recorded, even one of nothing: no authorization will follow.
        captures: what was taken, by parcel (`ParcelFacts.shipment_id`) or `REST`.
        capturing: what is being taken, by the same names.
        refunds: what was given back, by refund: `SURPLUS/n`, a receipt, or one that people made.
        refunding: what is being given back, by the same names.
        in_vain: what people asked to be given back, and was not, by the same names.
        charged_back_minor: what the customer's bank took back.
        failures: how often a capture or a refund failed, by the same names.
        refused: those of them that the provider will never do.
    """

    attempt: int = 0
    pending: bool = False
    authorized: bool = False
    decline: DeclineCode | None = None
    held_minor: int = 0
    voided: bool = False
    captures: Mapping[str, int] = field(default_factory=_no_money)
    capturing: Mapping[str, int] = field(default_factory=_no_money)
    refunds: Mapping[str, int] = field(default_factory=_no_money)
    refunding: Mapping[str, int] = field(default_factory=_no_money)
    in_vain: Mapping[str, int] = field(default_factory=_no_money)
    charged_back_minor: int = 0
    failures: Mapping[str, int] = field(default_factory=_no_money)
    refused: frozenset[str] = frozenset()

    @property
    def captured_minor(self) -> int:
        return sum(self.captures.values())

    @property
    def refunded_minor(self) -> int:
        return sum(self.refunds.values())

    @property
    def kept_minor(self) -> int:
        """What was taken and is still ours."""
        return max(0, self.captured_minor - self.refunded_minor - self.charged_back_minor)


class ParcelStatus(StrEnum):
    PACKED = "packed"
    DISPATCHED = "dispatched"
    DELIVERED = "delivered"
    RETURNED = "returned"
    """To the sender: its pieces may go into another parcel."""
    CANCELLED = "cancelled"


_LEFT = (ParcelStatus.DISPATCHED, ParcelStatus.DELIVERED)
_LIVE = (ParcelStatus.PACKED, *_LEFT)


@dataclass(frozen=True, slots=True)
class ParcelFacts:
    """Attributes: pieces: by line number; heard_at: the newest scan, by the carrier's clock."""

    shipment_id: str
    status: ParcelStatus
    pieces: Mapping[int, int]
    heard_at: datetime | None = None

    @property
    def has_left(self) -> bool:
        """Whether it is with the carrier or the customer."""
        return self.status in _LEFT

    @property
    def was_dispatched(self) -> bool:
        """Whether a carrier has it or has had it, and may tell of it."""
        return self.has_left or self.status is ParcelStatus.RETURNED


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What came of a return at one time.

    Attributes:
        refund_minor: what is owed for it.
        restock: pieces that can be sold again.
        refunded_minor: what the return says was given back; None: nothing yet.
    """

    return_id: ReturnId
    receipt_number: int
    refund_minor: int
    restock: int
    refunded_minor: int | None

    @property
    def subject(self) -> str:
        """The name of its refund and of its restocking."""
        return f"{self.return_id}/{self.receipt_number}"

    @property
    def is_left_out(self) -> bool:
        """Whether people have said that the saga needn't give it back, or nothing was left."""
        return self.refunded_minor == 0


class ReturnStatus(StrEnum):
    REQUESTED = "requested"
    APPROVED = "approved"
    RECEIVED = "received"
    """Everything that will come has come."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ReturnFacts:
    """Attributes: pieces: asked for less what was called off, by line number."""

    return_id: ReturnId
    status: ReturnStatus
    pieces: Mapping[int, int]
    receipts: tuple[ReceiptFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Where everything but the order itself stands, at one time."""

    allocation: AllocationFacts = AllocationFacts()
    payment: PaymentFacts = PaymentFacts()
    parcels: tuple[ParcelFacts, ...] = ()
    returns: tuple[ReturnFacts, ...] = ()

    def pieces(self, *statuses: ParcelStatus) -> Mapping[int, int]:
        """Add up the pieces of the parcels in these statuses, by line number."""
        sums: dict[int, int] = {}
        for parcel in self.parcels:
            if parcel.status in statuses:
                for number, quantity in parcel.pieces.items():
                    sums[number] = sums.get(number, 0) + quantity
        return sums

    def gone(self) -> Mapping[int, int]:
        """Count the pieces that are with a carrier or the customer, by line number."""
        return self.pieces(*_LEFT)

    def live_parcels(self) -> Parcels:
        """Give what the order's own rules must know of its parcels."""
        return Parcels(self.pieces(*_LIVE), any(parcel.has_left for parcel in self.parcels))
