"""The order's document, for the OpenAPI description: what the projection writes.

A member that is null, or a list that is empty, says that there is nothing of it (yet).
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.fulfilment.events import Step
from domain.order.events import CancelReason, PaymentMethod
from domain.order.state import OrderStatus
from domain.payment.events import DeclineCode
from domain.payment.state import Outcome
from domain.payment.status import PaymentStatus
from domain.returns.events import ReturnReason
from domain.returns.state import ReturnStage
from domain.returns.status import ReturnStatus
from domain.shipment.events import TrackingStatus
from domain.shipment.state import ShipmentStatus
from domain.shipment.status import FulfillmentStatus

Pieces = Annotated[int, Field(ge=0)]
AmountMinor = Annotated[int, Field(ge=0)]


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CustomerDocument(Document):
    id: str
    name: str | None
    email: str | None
    phone: str | None


class LineDocument(Document):
    """One line, in pieces; `quantity` as ordered.

    `shipped` includes `delivered`, and `return_requested` what has come back (`returned`).
    `allocated`: held for the order and not shipped; `backordered`: those of them that were not
    there yet when they were held.
    """

    line_number: int
    sku: str
    name: str
    quantity: Pieces
    unit_price_minor: AmountMinor
    total_minor: AmountMinor
    cancelled: Pieces
    allocated: Pieces
    backordered: Pieces
    shipped: Pieces
    delivered: Pieces
    return_requested: Pieces
    returned: Pieces


class MoneyDocument(Document):
    """What was ordered. `cancelled_minor`: price of canceled pieces, before tax and discount."""

    subtotal_minor: AmountMinor
    shipping_minor: AmountMinor
    tax_minor: AmountMinor
    discount_minor: AmountMinor
    total_minor: AmountMinor
    cancelled_minor: AmountMinor


class AddressDocument(Document):
    name: str | None
    line1: str | None
    line2: str | None
    city: str | None
    region: str | None
    postal_code: str | None
    country: str


class RejectReasonDocument(Document):
    """Why it was rejected, or expired; `short_lines`: the numbers of the lines that fell short."""

    code: str
    text: str
    short_lines: list[int]


class AttemptDocument(Document):
    attempt: int
    amount_minor: AmountMinor
    outcome: Outcome
    decline_code: DeclineCode | None


class TransferDocument(Document):
    """A capture or a refund; `is_final`: it failed, and will not be tried again."""

    amount_minor: AmountMinor
    outcome: Outcome
    tries: int
    is_final: bool


class CaptureDocument(TransferDocument):
    capture_id: str


class RefundDocument(TransferDocument):
    refund_id: str


class ChargebackDocument(Document):
    dispute_id: str
    amount_minor: AmountMinor


class PaymentDocument(Document):
    """The order's money, in its currency, and each of its movements.

    `action_url`: where the customer confirms the payment with their bank, while that is awaited.
    `paying_attempt`: the authorization that counts. `is_closed`: nothing more is taken;
    `is_voided`: what was held and not taken (`voided_minor`) is the customer's again.
    """

    method: PaymentMethod
    provider: str | None
    authorized_minor: AmountMinor
    captured_minor: AmountMinor
    refunded_minor: AmountMinor
    refund_pending_minor: AmountMinor
    voided_minor: AmountMinor
    chargeback_minor: AmountMinor
    last_decline: DeclineCode | None
    action_url: str | None
    paying_attempt: int | None
    is_closed: bool
    is_voided: bool
    attempts: list[AttemptDocument]
    captures: list[CaptureDocument]
    refunds: list[RefundDocument]
    chargebacks: list[ChargebackDocument]


class ParcelLineDocument(Document):
    line_number: int
    sku: str
    quantity: Pieces


class ScanDocument(Document):
    """What a carrier told: `code` is its own word, `at` when it happened."""

    status: TrackingStatus
    code: str
    at: datetime
    place: str | None
    detail: str | None


class ShipmentDocument(Document):
    """A parcel; `scans` are its newest 20, in the order in which they happened."""

    shipment_id: UUID
    status: ShipmentStatus
    tracking_status: TrackingStatus | None
    carrier: str | None
    tracking_number: str | None
    lines: list[ParcelLineDocument]
    estimated_delivery: datetime | None
    dispatched_at: datetime | None
    delivered_at: datetime | None
    proof: str | None
    scans: Annotated[list[ScanDocument], Field(max_length=20)]


class ReturnLineDocument(Document):
    line_number: int
    sku: str
    quantity: Pieces
    received: Pieces


class ReceiptDocument(Document):
    """What came at one time; `restock`: pieces that can be sold again.

    `refund_minor` is owed for it, `refunded_minor` was given back. It can be less, or 0, though
    `is_refunded`: the bank took the money back itself, or people have left it out.
    """

    receipt_number: int
    refund_minor: AmountMinor
    restock: Pieces
    refunded_minor: AmountMinor
    is_refunded: bool


class ReturnDocument(Document):
    return_id: UUID
    status: ReturnStage
    reason_code: ReturnReason
    reason: str
    lines: list[ReturnLineDocument]
    refunded_minor: AmountMinor
    is_approved: bool
    is_cancelled: bool
    receipts: list[ReceiptDocument]


class StepDocument(Document):
    """A step of which something is to come; `stuck`: why it takes somebody to go on."""

    step: Step
    subject: str
    attempt: int
    since: datetime
    due_at: datetime | None
    is_overdue: bool
    stuck: str | None


class FulfilmentDocument(Document):
    """What the order waits for, the most urgent first and above; `outcome`: what it comes to."""

    waiting_for: str | None
    step: Step | None
    subject: str | None
    since: datetime | None
    due_at: datetime | None
    stuck: str | None
    outcome: str | None
    is_charged: bool
    stock_held_until: datetime | None
    steps: list[StepDocument]


class ActionsDocument(Document):
    """What may be done with the order now, by role."""

    customer: list[str]
    merchant: list[str]
    service: list[str]
    support: list[str]


class TimelineStepDocument(Document):
    at: datetime
    code: str
    text: str


class OrderDocument(Document):
    """An order with its four statuses. `position` is that of the last event in it: its ETag.

    `fulfilment` is null for an order that was only imported. `timeline` has the first step and
    the newest.
    """

    order_id: UUID
    order_number: str
    external_reference: str | None
    status: OrderStatus
    payment_status: PaymentStatus
    fulfillment_status: FulfillmentStatus
    return_status: ReturnStatus
    on_hold: bool
    hold_reason: str | None
    cancel_reason: CancelReason | None
    reject_reason: RejectReasonDocument | None
    fulfilled_here: bool
    customer: CustomerDocument
    currency: str
    lines: list[LineDocument]
    money: MoneyDocument
    payment: PaymentDocument
    shipments: list[ShipmentDocument]
    returns: list[ReturnDocument]
    fulfilment: FulfilmentDocument | None
    shipping_address: AddressDocument | None
    actions: ActionsDocument
    placed_at: datetime
    updated_at: datetime
    version: int
    position: int
    timeline: Annotated[list[TimelineStepDocument], Field(max_length=100)]
