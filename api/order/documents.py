"""The documents that callers get, for the OpenAPI description.

Their bytes are made elsewhere: an order's by the projection, the rest in the routes. Tests hold
them to these models.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from api.order.order_document import Document, OrderDocument
from domain.envelope import Role
from domain.order.state import OrderStatus


class CommandAnswer(Document):
    """What a command did. `position` is a `min_position` with which a read shows it."""

    order_id: UUID
    order_number: str
    version: int
    position: int
    status: OrderStatus


class ListedOrderDocument(OrderDocument):
    """An order. `is_out_of_date`: it has an event that can't be read now, and is as before that."""

    is_out_of_date: bool = False


class OrderList(Document):
    """Some orders, newest first, as of a log position; `next_cursor` is null on the last page."""

    items: list[ListedOrderDocument]
    next_cursor: str | None
    as_of_position: int


class ActorDocument(Document):
    subject: str
    role: Role


class ChangeDocument(Document):
    """One change, as in JSON Patch (RFC 6902), with what was there before.

    `from` is missing for an add, `to` for a remove, and both for the first change of an order,
    with which all of it came to be.
    """

    op: Literal["add", "remove", "replace"]
    path: Annotated[str, Field(description="JSON Pointer (RFC 6901) into the order's document")]
    from_: Annotated[Any, Field(alias="from")] = None
    to: Any = None


class OrderDifferenceDocument(Document):
    """What changed between two points; `from_position` is null if there was no order before."""

    order_id: UUID
    from_position: int | None
    to_position: int
    changes: list[ChangeDocument]


class HistoryItemDocument(Document):
    """One recorded event: who, when, what and why, and what it changed in the document."""

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
    command_id: str
    reason: str | None
    data: dict[str, Any]
    changes: list[ChangeDocument]


class OrderHistoryDocument(Document):
    items: list[HistoryItemDocument]
    next_cursor: str | None
