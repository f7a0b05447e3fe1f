"""The inventory service: gives orders their stock, takes it back, and lets it leave with parcels.

It reacts to the saga's steps, to parcels that have left and to receipts of returns, a chunk of
orders in one append.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from commands.inventory.allocate import INVENTORY, Ask, allocate
from domain.envelope import Recorded
from domain.events import DomainEvent
from domain.fulfilment.events import FulfilmentStepStarted, Step
from domain.returns.events import ReturnReceived
from domain.shipment.events import ShipmentDispatched
from infrastructure.event_store.catalog import CATALOG
from infrastructure.services.reactions import Service
from infrastructure.services.run import Parts, Running, run_service

TYPES = (FulfilmentStepStarted, ShipmentDispatched, ReturnReceived)
STEPS = (Step.RESERVE, Step.COMMIT, Step.RELEASE)


def serve(port: int) -> None:
    """Run the service until SIGTERM."""
    run_service(INVENTORY.subject, wire, port=port)


@asynccontextmanager
async def wire(parts: Parts) -> AsyncIterator[Running]:
    """Wire it: it only reacts."""

    async def react(events: Sequence[Recorded[DomainEvent]]) -> None:
        asks = [ask for recorded in events if (ask := _ask(recorded)) is not None]
        if asks:
            await allocate(asks, parts.ports)

    types = frozenset(CATALOG.name_of(kind) for kind in TYPES)
    yield Running(Service(INVENTORY.subject, types, react))


def _ask(recorded: Recorded[DomainEvent]) -> Ask | None:
    event = recorded.event
    if not isinstance(event, TYPES):
        return None
    if isinstance(event, FulfilmentStepStarted) and event.step not in STEPS:
        return None
    return Ask(event.order_id, event, recorded.envelope)
