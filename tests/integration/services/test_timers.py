"""Timers on a real database: none is lost to who looks at once, none held up by another order."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import psycopg
import pytest

from commands.fulfilment.advance import advance
from domain.fulfilment.waiting import next_timer
from domain.ids import OrderId
from domain.shipment.pieces import LineRequest
from infrastructure.postgres.tasks import Task
from infrastructure.services import fulfilment
from infrastructure.services.fulfilment import TIMERS
from infrastructure.settings import Settings
from tests.integration.services.orders import place, stock
from tests.integration.services.test_life import A
from tests.integration.services.town import Town, open_town

MAKE_DUE = "UPDATE tasks SET due_at = now() WHERE queue = %s"
LONGER_THAN_A_LEASE = '{"answer_s": 600}'


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Have every timer run for longer than whoever takes it may work on it."""
    del settings  # only what it put into the environment
    monkeypatch.setenv("ORDERTRAIL_SAGA_TIMING", LONGER_THAN_A_LEASE)
    return Settings()


async def timer(town: Town, order_id: OrderId) -> Task:
    [task] = [one for one in await town.parts.tasks.of_order(order_id) if one.queue == TIMERS]
    return task


async def ring(town: Town, database_url: str) -> int:
    """Make the timers of all orders due, and let the saga look at them."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as sql:
        await sql.execute(MAKE_DUE, [TIMERS])
    [chore] = town.workers[0].running.chores
    return await chore()


async def test_a_timer_that_is_set_while_another_look_is_being_ended_is_not_lost(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_town(settings) as town:
        await stock(town.ports, A=5)
        order = await place(town.ports, A=1)
        await town.rest()
        assert await ring(town, database_url) == 1
        parcels = (await timer(town, order)).due_at
        meanwhile(monkeypatch, lambda: send_and_hear(town, order))
        assert await ring(town, database_url) == 1
        saga = (await town.file(order)).fulfilment.state
        assert saga is not None
        due_at = next_timer(saga)
        assert due_at is not None
        assert due_at < parcels  # what the look that ends last knows of
        assert (await timer(town, order)).due_at <= due_at


async def send_and_hear(town: Town, order: OrderId) -> None:
    """Send a parcel; the saga hears of it, and has its money taken."""
    await town.send(order, [LineRequest(A, 1)])
    worker = town.workers[0]
    await worker.reactions.batch(town.recorder.read_log(after=worker.offset, limit=500))


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[None]]) -> None:
    """Have something happen once a look has ended, before its timers are set."""

    async def looks(*what: Any) -> Mapping[OrderId, datetime | None]:
        timers = await advance(*what)
        monkeypatch.setattr(fulfilment, "advance", advance)
        await happens()
        return timers

    monkeypatch.setattr(fulfilment, "advance", looks)
