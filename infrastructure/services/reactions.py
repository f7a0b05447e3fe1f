"""Reacts to the events of a batch: each order's in their order, many orders at the same time.

Rule: an event that can't be reacted to holds up nobody but itself. It becomes a task that is tried
again, with growing pauses; whoever is on call sees it. Where a part is away, the whole batch ends,
to begin again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import structlog
from prometheus_client import Counter

from domain.envelope import Recorded
from domain.errors import UnavailableError
from domain.events import DomainEvent
from domain.ids import OrderId
from infrastructure.event_store.mapper import LogEntry
from infrastructure.event_store.order_reader import OrderReader, UnreadableEventError
from infrastructure.postgres.tasks import Task, Tasks

React: TypeAlias = Callable[[Recorded[DomainEvent]], Awaitable[None]]

AT_ONCE = 128
"""Orders that are worked on at the same time: two batches of the group commit."""
LEASE_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 600.0

_log = structlog.get_logger(__name__)
_reacted = Counter("ordertrail_service_events", "Events reacted to", ["service"])
_failed = Counter("ordertrail_service_failures", "Reactions that came to nothing", ["service"])


@dataclass(frozen=True, slots=True)
class Service:
    """What a service does.

    Attributes:
        name: its consumer group, its name in histories, and its queue of failed reactions.
        types: stored names of the events that it takes; others are passed over.
        react: idempotent; called for each of them, for one order by one process at a time.
    """

    name: str
    types: frozenset[str]
    react: React

    @property
    def retries(self) -> str:
        """Name the queue of reactions that failed."""
        return f"{self.name}.reactions"


class Reactions:
    """Runs a service's reactions."""

    def __init__(self, service: Service, reader: OrderReader, tasks: Tasks) -> None:
        self._service = service
        self._reader = reader
        self._tasks = tasks

    async def batch(self, entries: Sequence[LogEntry]) -> None:
        """React to all of them. Raises UnavailableError: to some, perhaps; begin again."""
        wanted = [entry for entry in entries if entry.type in self._service.types]
        by_order: dict[OrderId | None, list[LogEntry]] = defaultdict(list)
        for entry in wanted:
            by_order[entry.order_id].append(entry)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one_order(events: Sequence[LogEntry]) -> None:
            async with gate:
                for entry in events:
                    await self._one(entry)

        async with asyncio.TaskGroup() as group:
            for events in by_order.values():
                group.create_task(one_order(events))

    async def retry(self) -> int:
        """Try failed reactions again that are due; give how many were taken."""
        taken = await self._tasks.take(self._service.retries, lease_s=LEASE_S, limit=AT_ONCE)
        for task in taken:
            await self._again(task)
        return len(taken)

    async def _one(self, entry: LogEntry) -> None:
        problem = await self._try(entry)
        if problem is not None and entry.order_id is not None:
            key = f"{entry.order_id}/{entry.position}"
            await self._tasks.put(self._service.retries, [(key, entry.order_id, datetime.now(UTC))])

    async def _again(self, task: Task) -> None:
        position = int(task.key.rpartition("/")[2])
        entries = await asyncio.to_thread(self._reader.entries, task.order_id)
        entry = next((one for one in entries if one.position == position), None)
        problem = None if entry is None else await self._try(entry)
        if problem is None:
            await self._tasks.done(task.queue, [task.key])
            return
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(task.tries, 20))
        await self._tasks.put_off(task, seconds=pause_s, problem=problem)

    async def _try(self, entry: LogEntry) -> str | None:
        """React; give why it came to nothing. Raises UnavailableError."""
        try:
            [recorded] = self._reader.open_each([entry], open_sealed=False)
            if isinstance(recorded, UnreadableEventError):
                raise recorded  # noqa: TRY301 - caught below, as any other
            await self._service.react(recorded)
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - the one place where a reaction's fault is caught
            _failed.labels(self._service.name).inc()
            _log.exception("reaction_failed", order_id=str(entry.order_id), position=entry.position)
            return f"{entry.type}: {type(error).__name__}: {error}"
        _reacted.labels(self._service.name).inc()
        return None
