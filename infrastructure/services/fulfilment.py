"""The fulfilment service: runs the saga of every order that is fulfilled here.

It is shown an order after each of its events, and when its timer comes due. The timer of an order
is one task, set after each look from where the saga then stands. One that a crash left unset is set
when the event comes again; one that comes too early finds nothing to do, and is set anew.

Rule: an order that can't be looked at holds up no other's timer. Where the look at many fails, each
is looked at alone, and the timer of the one that fails again is tried with growing pauses.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import get_args

from commands.fulfilment.advance import SAGA, Cause, advance
from domain.envelope import Recorded
from domain.events import DomainEvent
from domain.fulfilment.events import FulfilmentEvent, FulfilmentStepSkipped, FulfilmentStepStarted
from domain.ids import OrderId
from domain.order.events import OrderPlaced
from infrastructure.event_store.catalog import CATALOG
from infrastructure.postgres.tasks import Task
from infrastructure.services.faults import pause_s, problem_of
from infrastructure.services.reactions import Service
from infrastructure.services.run import Parts, Running, run_service

NAME = "fulfilment"
TIMERS = "fulfilment.timers"
LEASE_S = 30.0
MOST_TIMERS = 100
_NOT_NEWS = frozenset({"order.personal_data_forgotten.v1", "order.shipping_address_changed.v1"})


def _types() -> frozenset[str]:
    """Name the events of orders; of its own only those that people on call have a hand in."""
    own = {
        CATALOG.name_of(kind)
        for kind in get_args(FulfilmentEvent)
        if kind not in (FulfilmentStepStarted, FulfilmentStepSkipped)
    }
    stock = {name for name in CATALOG.current if name.startswith("stock.")}
    return frozenset(CATALOG.current) - own - stock - _NOT_NEWS


def serve(port: int) -> None:
    """Run the service until SIGTERM."""
    run_service(NAME, wire, port=port)


@asynccontextmanager
async def wire(parts: Parts) -> AsyncIterator[Running]:
    """Wire it: it reacts to events and to its timers."""
    saga = _Saga(parts)
    yield Running(Service(NAME, _types(), saga.react), chores=(saga.ring,))


class _Saga:
    def __init__(self, parts: Parts) -> None:
        self._ports = parts.ports
        self._tasks = parts.tasks
        self._timing = parts.settings.fulfilment.saga_timing

    async def react(self, events: Sequence[Recorded[DomainEvent]]) -> None:
        causes: dict[OrderId, Cause] = {}
        for recorded in events:
            if _is_for_another(recorded.event):
                continue
            # What it said itself is no news to it; what people on call said in its name is.
            if recorded.order_id is not None and recorded.envelope.actor != SAGA:
                envelope = recorded.envelope
                causes[recorded.order_id] = Cause(
                    str(envelope.event_id), envelope.correlation_id, envelope.traceparent
                )
        timers = await advance(causes, self._ports, self._timing)
        await self._tasks.sooner(
            TIMERS, [(str(order), order, due) for order, due in timers.items() if due is not None]
        )

    async def ring(self) -> int:
        """Show the saga the orders whose timer is due; give how many were taken."""
        due = await self._tasks.take(TIMERS, lease_s=LEASE_S, limit=MOST_TIMERS)
        if due and await self._try(due) is not None:
            for task in due:
                await self._alone(task)
        return len(due)

    async def _alone(self, task: Task) -> None:
        problem = await self._try([task])
        if problem is not None:
            await self._tasks.put_off(task, seconds=pause_s(task.tries), problem=problem)

    async def _try(self, due: Sequence[Task]) -> str | None:
        """Look at the orders; give why that came to nothing. Raises UnavailableError."""
        return await problem_of(
            self._look(due),
            service=NAME,
            failed="timer_failed",
            first=due[0].key,
            last=due[-1].key,
        )

    async def _look(self, due: Sequence[Task]) -> None:
        causes = {task.order_id: Cause("timer", f"timer-{task.key}") for task in due}
        timers = await advance(causes, self._ports, self._timing)
        for task in due:
            again_at = timers[task.order_id]
            if again_at is None:
                await self._tasks.done(task)
            else:
                await self._tasks.again(task, again_at)


def _is_for_another(event: DomainEvent) -> bool:
    """Whether it begins an order that no saga leads, such as an imported one."""
    return isinstance(event, OrderPlaced) and not event.fulfilled_here
