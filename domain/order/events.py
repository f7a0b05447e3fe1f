"""What can have happened to an order. Payloads only: who and when are in the envelope."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from domain.ids import ClientId, CustomerId, OrderId, OrderNumber, Sku
from domain.money import Currency
from domain.personal import FreeText, PersonalData


class PaymentMethod(StrEnum):
    """How the order is paid: by a token of our payment service, or not through us at all."""

    TOKEN = "token"  # noqa: S105
    SETTLED_ELSEWHERE = "settled_elsewhere"


class CancelReason(StrEnum):
    """Why, in a word that can be counted; Shopify's OrderCancelReason has the same six."""

    CUSTOMER = "customer"
    DECLINED = "declined"
    FRAUD = "fraud"
    INVENTORY = "inventory"
    STAFF = "staff"
    OTHER = "other"


class HoldReason(StrEnum):
    """Why, in a word that decisions read. What isn't OTHER is ours, not people's."""

    CAPTURE_FAILED = "capture_failed"
    """A payment for a parcel failed; the saga lets it go on once that is done."""
    AUTHORIZATION_LET_GO = "authorization_let_go"
    """The provider has let go of money that is still to be taken."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line as ordered. Prices never change after this.

    Attributes:
        line_number: from 1, unique in the order; a sku may stand on several lines.
        unit_price_minor: price of one piece, in minor units of the order's currency.
    """

    line_number: int
    sku: Sku
    name: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class CancelledLine:
    line_number: int
    sku: Sku
    quantity: int


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    """Attributes: fulfilled_here: the saga leads it; not so for what a shop only imports."""

    order_id: OrderId
    order_number: OrderNumber
    client_id: ClientId
    external_reference: str | None
    customer_id: CustomerId
    personal: PersonalData
    currency: Currency
    lines: tuple[OrderLine, ...]
    shipping_minor: int
    tax_minor: int
    discount_minor: int
    total_minor: int
    payment: PaymentMethod
    fulfilled_here: bool


@dataclass(frozen=True, slots=True)
class OrderLinesCancelled:
    """Some pieces won't be sent; the order goes on if anything is left."""

    order_id: OrderId
    lines: tuple[CancelledLine, ...]
    reason: FreeText
    reason_code: CancelReason


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    order_id: OrderId
    reason: FreeText
    reason_code: CancelReason


@dataclass(frozen=True, slots=True)
class OrderConfirmed:
    """Stock and money are secured: it can be packed."""

    order_id: OrderId


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """It could not be had, or not be paid.

    Attributes:
        reason_code: such as `short_stock` or `declined`.
        short: the numbers of the lines that fell short.
    """

    order_id: OrderId
    reason_code: str
    reason: str
    short: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderExpired:
    """The customer did not finish paying in time."""

    order_id: OrderId
    reason: str


@dataclass(frozen=True, slots=True)
class OrderHeld:
    """Nothing leaves the building until the hold is released.

    Attributes: reason: in words, where it is people who hold it.
    """

    order_id: OrderId
    reason_code: HoldReason
    reason: FreeText | None


@dataclass(frozen=True, slots=True)
class OrderHoldReleased:
    order_id: OrderId
    reason: FreeText


@dataclass(frozen=True, slots=True)
class OrderCancellationRequested:
    """It will be cancelled once its stock and its money are back where they belong."""

    order_id: OrderId
    reason: FreeText
    reason_code: CancelReason


@dataclass(frozen=True, slots=True)
class RevisedLine:
    """Attributes: quantity: what is wanted from now on, fewer than before and more than zero."""

    line_number: int
    sku: Sku
    quantity: int


@dataclass(frozen=True, slots=True)
class OrderRevised:
    """Fewer pieces of some lines are wanted. Prices stay; what nobody wants is cancelled."""

    order_id: OrderId
    lines: tuple[RevisedLine, ...]
    reason: FreeText


@dataclass(frozen=True, slots=True)
class ShippingAddressChanged:
    """Attributes: personal: only its `shipping_address` counts."""

    order_id: OrderId
    personal: PersonalData


@dataclass(frozen=True, slots=True)
class OrderCompleted:
    """Everything that was wanted has been delivered and paid."""

    order_id: OrderId


@dataclass(frozen=True, slots=True)
class OrderPersonalDataForgotten:
    """The customer's key was deleted: what was personal in this order can't be read any more."""

    order_id: OrderId


OrderEvent: TypeAlias = (
    OrderPlaced
    | OrderLinesCancelled
    | OrderCancelled
    | OrderConfirmed
    | OrderRejected
    | OrderExpired
    | OrderHeld
    | OrderHoldReleased
    | OrderCancellationRequested
    | OrderRevised
    | ShippingAddressChanged
    | OrderCompleted
    | OrderPersonalDataForgotten
)
