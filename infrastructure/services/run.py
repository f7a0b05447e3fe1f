"""Runs a service as a process: its consumer, its failed reactions, and what it does beside them.

They share one event loop and one event store. The first that fails ends them all, and the
worker begins again from what is durable.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeAlias

from commands.ports import Ports
from infrastructure import composition
from infrastructure.postgres.tasks import Tasks
from infrastructure.processes.worker import Health, run_worker
from infrastructure.services.consumer import consume
from infrastructure.services.reactions import Reactions, Service
from infrastructure.settings import Settings

LOOK_EVERY_S = 0.5
Chore: TypeAlias = Callable[[], Awaitable[int]]
"""Does what is due now, and gives how much that was; asked again at once while it is any."""


@dataclass(frozen=True, slots=True)
class Running:
    """A service, wired. Attributes: chores: what it does beside reacting, such as its timers."""

    service: Service
    chores: Sequence[Chore] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is wired with."""

    settings: Settings
    ports: Ports
    tasks: Tasks


Wire: TypeAlias = Callable[[Parts], AbstractAsyncContextManager[Running]]


def run_service(name: str, wire: Wire, *, port: int) -> None:
    """Run a service until SIGTERM; health and metrics are on `port`."""
    settings = Settings()

    def work(stopping: threading.Event, health: Health) -> None:
        asyncio.run(_work(settings, wire, stopping, health))

    run_worker(name, work, host=settings.http.http_host, port=port)


async def _work(settings: Settings, wire: Wire, stopping: threading.Event, health: Health) -> None:
    async with (
        composition.command_ports(settings.store) as ports,
        composition.open_tasks(settings.store) as tasks,
        wire(Parts(settings, ports, tasks)) as running,
    ):
        reader = composition.order_reader(settings.store, pool_size=2)
        reactions = Reactions(running.service, reader, tasks)
        try:
            async with asyncio.TaskGroup() as group:
                for chore in (reactions.retry, *running.chores):
                    group.create_task(_repeat(chore, stopping))
                group.create_task(
                    consume(settings.kafka, running.service.name, reactions.batch, stopping, health)
                )
        except* Exception as errors:
            raise _first(errors) from errors
        finally:
            reader.close()


async def _repeat(chore: Chore, stopping: threading.Event) -> None:
    while not stopping.is_set():
        if not await chore():
            await asyncio.sleep(LOOK_EVERY_S)


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    """Give one error for the log of faults: the first that is no group."""
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if not isinstance(first, Exception):
        raise TypeError(f"{type(first).__name__} ended the service") from first
    return first
