"""The payment service: asks the provider for what the saga and people ask of an order's money.

What is asked for is stored in the order's payment stream, then becomes a task for each call that
is open (`payment_calls.py`). So a provider that is slow, away or talks nonsense holds up nobody
else: its calls are tried again with growing pauses, and whoever is on call sees them.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from commands.attempts import side_by_side
from commands.order.file import OrderFile, load_files
from commands.payment.request import PAYMENTS, STEPS, request_step
from commands.ports import Ports
from domain.envelope import Recorded
from domain.events import DomainEvent
from domain.fulfilment.events import FulfilmentStepStarted
from domain.ids import OrderId
from domain.payment.events import PaymentVoidRequested, RefundRequested
from domain.payment.state import Payment
from infrastructure import composition
from infrastructure.event_store.catalog import CATALOG
from infrastructure.services.payment_calls import Calls
from infrastructure.services.reactions import Service
from infrastructure.services.run import Parts, Running, run_service

TYPES = (FulfilmentStepStarted, RefundRequested, PaymentVoidRequested)


def serve(port: int) -> None:
    """Run the service until SIGTERM."""
    run_service(PAYMENTS.subject, wire, port=port)


@asynccontextmanager
async def wire(parts: Parts) -> AsyncIterator[Running]:
    """Wire it: it reacts, and makes the calls that are due. On leaving, those under way end first.

    Raises what a call has failed with, if one did: it cancels whoever is inside.
    """
    reader = composition.order_reader(parts.settings.store, pool_size=2)
    try:
        async with (
            composition.payment_gateway(parts.settings) as gateway,
            asyncio.TaskGroup() as group,
        ):
            calls = Calls(parts, gateway, reader, group)
            service = _Payments(parts.ports, gateway.name, calls)
            types = frozenset(CATALOG.name_of(kind) for kind in TYPES)
            yield Running(
                Service(PAYMENTS.subject, types, service.react),
                chores=(calls.begin,),
                news=calls.news,
            )
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None  # the worker tells its first fault by name
    finally:
        reader.close()


class _Payments:
    def __init__(self, ports: Ports, provider: str, calls: Calls) -> None:
        self._ports = ports
        self._provider = provider
        self._calls = calls

    async def react(self, events: Sequence[Recorded[DomainEvent]]) -> None:
        """Store what is asked for, and have it called for."""
        by_order: dict[OrderId, list[Recorded[DomainEvent]]] = {}
        for recorded in events:
            if recorded.order_id is not None and _is_ours(recorded.event):
                by_order.setdefault(recorded.order_id, []).append(recorded)
        files = await load_files(list(by_order), self._ports)
        payments = await side_by_side(
            self._react(*pair) for pair in zip(by_order.values(), files, strict=True)
        )
        await self._calls.ask_for(dict(zip(by_order, payments, strict=True)))

    async def _react(
        self, events: Sequence[Recorded[DomainEvent]], file: OrderFile
    ) -> Payment | None:
        """Store what is asked for of one order; give its payment after that."""
        payment, fresh = file.payment.state, [file]
        for recorded in events:
            if isinstance(recorded.event, FulfilmentStepStarted):
                payment = await request_step(
                    recorded.event,
                    recorded.envelope,
                    self._provider,
                    self._ports,
                    file=fresh.pop() if fresh else None,
                )
        return payment


def _is_ours(event: DomainEvent) -> bool:
    return not isinstance(event, FulfilmentStepStarted) or event.step in STEPS
