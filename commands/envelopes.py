"""Put decided events into envelopes: who, when, why."""

from collections.abc import Sequence
from datetime import datetime

from commands.ports import Ports, Request
from domain.envelope import Envelope
from domain.events import DomainEvent


def address_events(
    events: Sequence[DomainEvent], request: Request, ports: Ports, *, occurred_at: datetime
) -> tuple[tuple[Envelope, DomainEvent], ...]:
    """Give each event of one decision an envelope; all share the command as their cause."""
    return tuple(
        (
            Envelope(
                event_id=ports.names.new_event_id(),
                occurred_at=occurred_at,
                actor=request.actor,
                correlation_id=request.correlation_id,
                causation_id=request.command_id,
                command_id=request.command_id,
                traceparent=request.traceparent,
            ),
            event,
        )
        for event in events
    )
