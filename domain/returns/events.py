"""What can have happened to an order's returns. All returns of an order share one stream."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from domain.ids import OrderId, ReturnId, Sku
from domain.personal import FreeText


class ReturnReason(StrEnum):
    """Why it comes back, in a word that can be counted; after Shopify's ReturnReason."""

    UNWANTED = "unwanted"
    SIZE = "size"
    DEFECTIVE = "defective"
    WRONG_ITEM = "wrong_item"
    NOT_AS_DESCRIBED = "not_as_described"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ReturnedLine:
    line_number: int
    sku: Sku
    quantity: int


@dataclass(frozen=True, slots=True)
class ReceivedLine:
    """Attributes: restock: how many of `quantity` can be sold again."""

    line_number: int
    sku: Sku
    quantity: int
    restock: int


@dataclass(frozen=True, slots=True)
class ReturnRequested:
    order_id: OrderId
    return_id: ReturnId
    lines: tuple[ReturnedLine, ...]
    reason_code: ReturnReason
    reason: FreeText


@dataclass(frozen=True, slots=True)
class ReturnApproved:
    order_id: OrderId
    return_id: ReturnId


@dataclass(frozen=True, slots=True)
class ReturnReceived:
    """Some of it has come, or all.

    Attributes:
        receipt_number: from 1 in this return.
        refund_minor: what is owed for these pieces.
        withheld_minor: what they are worth beyond that: it was given back before, as by hand.
    """

    order_id: OrderId
    return_id: ReturnId
    receipt_number: int
    lines: tuple[ReceivedLine, ...]
    refund_minor: int
    withheld_minor: int


@dataclass(frozen=True, slots=True)
class ReturnRefunded:
    """The money for one receipt is back with the customer, or was never ours to give back.

    It comes again where that has changed: the bank sent it back, and less was left by then.

    Attributes: refund_minor: what is back: less than is owed where less was left, or 0 where
        people have left it out.
    """

    order_id: OrderId
    return_id: ReturnId
    receipt_number: int
    refund_minor: int


@dataclass(frozen=True, slots=True)
class ReturnCancelled:
    """Nothing more of it will come."""

    order_id: OrderId
    return_id: ReturnId
    reason: FreeText


ReturnEvent: TypeAlias = (
    ReturnRequested | ReturnApproved | ReturnReceived | ReturnRefunded | ReturnCancelled
)
