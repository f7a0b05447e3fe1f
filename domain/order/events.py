"""What can have happened to an order. Payloads only: who and when are in the envelope."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from domain.ids import ClientId, CustomerId, OrderId, OrderNumber, Sku
from domain.money import Currency
from domain.personal import PersonalData


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


@dataclass(frozen=True, slots=True)
class OrderLinesCancelled:
    """Some pieces won't be sent; the order goes on if anything is left."""

    order_id: OrderId
    lines: tuple[CancelledLine, ...]
    reason: str
    reason_code: CancelReason


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    order_id: OrderId
    reason: str
    reason_code: CancelReason


OrderEvent: TypeAlias = OrderPlaced | OrderLinesCancelled | OrderCancelled
