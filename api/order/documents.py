"""The documents that callers get, for the OpenAPI description.

Their bytes are made elsewhere: an order's by the projection, the rest in the routes. Tests hold
them to these models.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.envelope import Role
from domain.order.events import CancelReason
from domain.order.state import OrderStatus


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CommandAnswer(Document):
    """What a command did. `position` is a `min_position` with which a read shows it."""

    order_id: UUID
    order_number: str
    version: int
    position: int
    status: OrderStatus


class CustomerDocument(Document):
    id: str
    name: str | None
    email: str | None
    phone: str | None


class LineDocument(Document):
    line_number: int
    sku: str
    name: str
    quantity: int
    unit_price_minor: int
    total_minor: int
    cancelled: int


class MoneyDocument(Document):
    subtotal_minor: int
    shipping_minor: int
    tax_minor: int
    discount_minor: int
    total_minor: int
    cancelled_minor: int


class AddressDocument(Document):
    name: str | None
    line1: str | None
    line2: str | None
    city: str | None
    region: str | None
    postal_code: str | None
    country: str


class OrderDocument(Document):
    """An order with its four statuses. `position` is that of the last event in it: its ETag."""

    order_id: UUID
    order_number: str
    external_reference: str | None
    customer: CustomerDocument
    currency: str
    status: OrderStatus
    payment_status: str
    fulfillment_status: str
    return_status: str
    on_hold: bool
    cancel_reason: CancelReason | None
    lines: list[LineDocument]
    money: MoneyDocument
    shipping_address: AddressDocument | None
    placed_at: datetime
    updated_at: datetime
    version: int
    position: int
    timeline: list[dict[str, Any]]


class OrderList(Document):
    """Some orders, newest first, as of a log position; `next_cursor` is null on the last page."""

    items: list[OrderDocument]
    next_cursor: str | None
    as_of_position: int


class ActorDocument(Document):
    subject: str
    role: Role


class HistoryItemDocument(Document):
    """One recorded event: who, when, what and why."""

    position: int
    event_id: UUID
    type: str
    stream: str
    version: int
    occurred_at: datetime
    recorded_at: datetime
    actor: ActorDocument
    correlation_id: str
    causation_id: str
    data: dict[str, Any]


class OrderHistoryDocument(Document):
    items: list[HistoryItemDocument]
    next_cursor: str | None
