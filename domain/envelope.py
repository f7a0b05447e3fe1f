"""What is known about an event besides what happened: who, when, why, and where it stands.

Named tuples: these two are made for every event that is ever read, and a frozen dataclass takes
three times as long to make.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from domain.ids import OrderId, StreamId

E_co = TypeVar("E_co", covariant=True)


class Role(StrEnum):
    CUSTOMER = "customer"
    SUPPORT = "support"
    MERCHANT = "merchant"
    SERVICE = "service"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    """A person at the command line of the platform. No token has this role."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: the subject and the role of a verified token."""

    subject: str
    role: Role


class Envelope(NamedTuple):
    """Who, when and why, stored with each event.

    Attributes:
        event_id: UUIDv7, the event's own name everywhere (`ce_id` on Kafka).
        occurred_at: business time, aware UTC; may lie far before `Recorded.recorded_at`.
        correlation_id: the same for everything that one request set off.
        causation_id: the id of the event or of the command that led to this one.
        command_id: the command that was decided.
        traceparent: W3C Trace Context of the request, if it had one.
    """

    event_id: UUID
    occurred_at: datetime
    actor: Actor
    correlation_id: str
    causation_id: str
    command_id: str
    traceparent: str | None = None


class Recorded(NamedTuple, Generic[E_co]):
    """An event as the log holds it.

    Attributes:
        position: the event's place in the whole log, from 1, without gaps.
        stream, version: the event's place in its own stream; versions count from 1.
        type: the stable name, such as `order.placed.v1`.
        recorded_at: set where the log's order is decided; never decreases with the position.
    """

    position: int
    stream: StreamId
    version: int
    type: str
    order_id: OrderId | None
    recorded_at: datetime
    envelope: Envelope
    event: E_co
