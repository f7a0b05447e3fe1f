"""What can have happened to an order's money. No card data, ever: tokens and references only."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from domain.ids import OrderId
from domain.money import Currency
from domain.personal import FreeText


class DeclineCode(StrEnum):
    """Why the provider said no, in a word that can be counted."""

    CARD_DECLINED = "card_declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    EXPIRED_CARD = "expired_card"
    FRAUD = "fraud"
    ACTION_NOT_TAKEN = "action_not_taken"
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105
    UNSUPPORTED_CURRENCY = "unsupported_currency"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PaymentAuthorizationRequested:
    """Stored before the provider is asked: (order, attempt) is the idempotency key there.

    Attributes: provider: the adapter that is asked, such as `sandbox` or `stripe`.
    """

    order_id: OrderId
    attempt: int
    amount_minor: int
    currency: Currency
    provider: str


@dataclass(frozen=True, slots=True)
class PaymentActionRequired:
    """The customer must confirm it with their bank. Attributes: action_url: where."""

    order_id: OrderId
    attempt: int
    reference: str
    action_url: str


@dataclass(frozen=True, slots=True)
class PaymentAuthorized:
    """The amount is held at the customer's bank. Attributes: reference: the provider's own id."""

    order_id: OrderId
    attempt: int
    amount_minor: int
    reference: str


@dataclass(frozen=True, slots=True)
class PaymentAuthorizationFailed:
    order_id: OrderId
    attempt: int
    decline_code: DeclineCode
    detail: str


@dataclass(frozen=True, slots=True)
class PaymentCaptureRequested:
    """Attributes: capture_id: what it is for: the parcel's id; the idempotency key there."""

    order_id: OrderId
    capture_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class PaymentCaptured:
    order_id: OrderId
    capture_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class PaymentCaptureFailed:
    """Attributes: final: the provider will never take it; otherwise it is tried again."""

    order_id: OrderId
    capture_id: str
    detail: str
    final: bool


@dataclass(frozen=True, slots=True)
class PaymentVoidRequested:
    """The payment is closed: nothing is authorized or captured any more.

    Attributes:
        attempt: with a number it is only about that attempt, whose authorization came when
            nobody wanted it any more; the payment itself stays as it is.
    """

    order_id: OrderId
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class PaymentVoided:
    """What was authorized and not captured is the customer's again. `attempt`: as asked for."""

    order_id: OrderId
    amount_minor: int
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class RefundRequested:
    """Attributes: refund_id: unique in the order; the idempotency key at the provider."""

    order_id: OrderId
    refund_id: str
    amount_minor: int
    reason: FreeText


@dataclass(frozen=True, slots=True)
class PaymentRefunded:
    order_id: OrderId
    refund_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class RefundFailed:
    order_id: OrderId
    refund_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class ChargebackReceived:
    """The customer's bank has taken money back. Attributes: dispute_id: the provider's own id."""

    order_id: OrderId
    dispute_id: str
    amount_minor: int


PaymentEvent: TypeAlias = (
    PaymentAuthorizationRequested
    | PaymentActionRequired
    | PaymentAuthorized
    | PaymentAuthorizationFailed
    | PaymentCaptureRequested
    | PaymentCaptured
    | PaymentCaptureFailed
    | PaymentVoidRequested
    | PaymentVoided
    | RefundRequested
    | PaymentRefunded
    | RefundFailed
    | ChargebackReceived
)
