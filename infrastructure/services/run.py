"""Runs a service as a process: its consumer, its failed reactions, and what it does beside them.

They share one event loop and one event store. The first that fails ends them all, and the
worker begins again from what is durable.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, closing, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from commands.ports import Ports
from infrastructure import composition
from infrastructure.postgres.tasks import Tasks
from infrastructure.processes.worker import Health, run_worker
from infrastructure.services.consumer import consume
from infrastructure.services.reactions import Reactions, Service
from infrastructure.settings import Settings

LOOK_EVERY_S = 0.5
CANCEL_AGAIN_S = 1.0
Chore: TypeAlias = Callable[[], Awaitable[int]]
"""Does or begins what is due, and gives how much that was; asked again at once while it is any."""


@dataclass(frozen=True, slots=True)
class Running:
    """A service, wired.

    Attributes:
        chores: what it does beside reacting, such as its timers.
        news: set where there is something to do for the chore, which else looks from time to time.
    """

    service: Service
    chores: Sequence[Chore] = ()
    news: asyncio.Event = field(default_factory=asyncio.Event)


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
        with closing(composition.order_reader(settings.store, pool_size=2)) as reader:
            # An empty topic is read without PostgreSQL, and would look like work that goes on.
            await asyncio.to_thread(reader.head)
            reactions = Reactions(running.service, reader, tasks)
            name = running.service.name
            consuming = consume(settings.kafka, name, reactions.batch, stopping, health)
            chores = [_repeat(one, stopping, running.news) for one in running.chores]
            # It has no share in the news: whoever clears them would take them from a chore.
            chores.append(_repeat(reactions.retry, stopping, asyncio.Event()))
            await _until_one_fails([consuming, *chores])


async def _repeat(chore: Chore, stopping: threading.Event, news: asyncio.Event) -> None:
    while not stopping.is_set():
        news.clear()  # before it looks, so that what comes while it does is not missed
        if not await chore():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await news.wait()


async def _until_one_fails(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run them side by side; once one fails, end the others and raise its error."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        # Again and again: whoever is just being given a connection by a pool gets that, and not
        # the cancellation.
        while pending := [task for task in tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
