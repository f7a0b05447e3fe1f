"""Put decided events into envelopes: who, when, why."""

from collections.abc import Sequence
from datetime import datetime

from commands.ports import Ports, Request
from domain.envelope import Envelope
from domain.events import DomainEvent


def address_events(
    events: Sequence[DomainEvent],
    request: Request,
    ports: Ports,
    *,
    occurred_at: datetime,
    caused_by: str | None = None,
) -> tuple[tuple[Envelope, DomainEvent], ...]:
    """Give each event of one decision an envelope.

    Their cause is the command or, where an event led to it, that event: `caused_by`.
    """
    return tuple(
        (
            Envelope(
                event_id=ports.names.new_event_id(),
                occurred_at=occurred_at,
                actor=request.actor,
                correlation_id=request.correlation_id,
                causation_id=caused_by or request.command_id,
                command_id=request.command_id,
                traceparent=request.traceparent,
            ),
            event,
        )
        for event in events
    )
