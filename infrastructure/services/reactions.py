"""Reacts to the events of a batch, many orders at a time, in the order in which they come.

Rule: an event that can't be reacted to holds up nobody but itself. Where a chunk fails, each of its
events is tried alone, and the one that fails again becomes a task, tried with growing pauses;
whoever is on call sees it. Where a part is away, the whole batch ends, to begin again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from prometheus_client import Counter

from domain.envelope import Recorded
from domain.events import DomainEvent
from infrastructure.event_store.mapper import LogEntry
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.postgres.tasks import Task, Tasks
from infrastructure.services.faults import pause_s, problem_of

React: TypeAlias = Callable[[Sequence[Recorded[DomainEvent]]], Awaitable[None]]

CHUNK = 100
"""Events that a service is given at a time."""
LEASE_S = 60.0

_reacted = Counter("ordertrail_service_events", "Events reacted to", ["service"])


@dataclass(frozen=True, slots=True)
class Service:
    """What a service does.

    Attributes:
        name: its consumer group, its name in histories, and its queue of failed reactions.
        types: stored names of the events that it takes; others are passed over.
        react: takes some events, in the log's order for each order; idempotent, as any of them may
            come again, and all of a chunk do where one of them fails.
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
        for begin in range(0, len(wanted), CHUNK):
            chunk = wanted[begin : begin + CHUNK]
            if await self._try(chunk) is None:
                continue
            for entry in chunk:
                await self._alone(entry)

    async def retry(self) -> int:
        """Try failed reactions again that are due; give how many were taken."""
        taken = await self._tasks.take(self._service.retries, lease_s=LEASE_S, limit=CHUNK)
        for task in taken:
            await self._again(task)
        return len(taken)

    async def _alone(self, entry: LogEntry) -> None:
        problem = await self._try([entry])
        if problem is not None and entry.order_id is not None:
            key = f"{entry.order_id}/{entry.position}"
            await self._tasks.put(self._service.retries, [(key, entry.order_id, datetime.now(UTC))])

    async def _again(self, task: Task) -> None:
        position = int(task.key.rpartition("/")[2])
        entries = await asyncio.to_thread(self._reader.entries, task.order_id)
        entry = next((one for one in entries if one.position == position), None)
        problem = None if entry is None else await self._try([entry])
        if problem is None:
            await self._tasks.done(task)
        else:
            await self._tasks.put_off(task, seconds=pause_s(task.tries), problem=problem)

    async def _try(self, entries: Sequence[LogEntry]) -> str | None:
        """React; give why it came to nothing. Raises UnavailableError."""
        return await problem_of(
            self._react(entries),
            service=self._service.name,
            failed="reaction_failed",
            first=entries[0].position,
            last=entries[-1].position,
        )

    async def _react(self, entries: Sequence[LogEntry]) -> None:
        await self._service.react(self._reader.open(entries, open_sealed=False))
        _reacted.labels(self._service.name).inc(len(entries))
