"""Timers on a real database: none is lost to who looks at once, none held up by another order."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from datetime import datetime
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from commands.fulfilment import advance as advancing
from commands.fulfilment.advance import advance
from commands.ports import StoreUnavailableError
from domain.fulfilment import saga as rules
from domain.fulfilment.waiting import next_timer
from domain.ids import OrderId, fulfilment_stream
from domain.order.state import Order
from domain.shipment.pieces import LineRequest
from infrastructure.observability.service_lag import FAILING_TRIES
from infrastructure.postgres.tasks import Task
from infrastructure.services import fulfilment
from infrastructure.services.fulfilment import TIMERS
from infrastructure.settings import Settings
from tests.integration.services.orders import place, stock
from tests.integration.services.test_life import A
from tests.integration.services.test_on_call import NOWHERE, saga
from tests.integration.services.town import Town, open_town

EATEN = "UPDATE events SET topic = topic || %s WHERE originator_id = %s AND originator_version = 1"
HEALED = "UPDATE events SET topic = replace(topic, %s, '') WHERE originator_id = %s"
MAKE_DUE = "UPDATE tasks SET due_at = now() WHERE queue = %s"
LONGER_THAN_A_LEASE = '{"answer_s": 600}'


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Have every timer run for longer than whoever takes it may work on it."""
    del settings  # only what it put into the environment
    monkeypatch.setenv("ORDERTRAIL_SAGA_TIMING", LONGER_THAN_A_LEASE)
    return Settings()


@pytest.fixture
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as entries:
        yield entries


async def timer(town: Town, order_id: OrderId) -> Task:
    [task] = [one for one in await town.parts.tasks.of_order(order_id) if one.queue == TIMERS]
    return task


async def change(database_url: str, statement: str, *values: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as sql:
        await sql.execute(statement, values)


async def ring(town: Town, database_url: str) -> int:
    """Make the timers of all orders due, and let the saga look at them."""
    await change(database_url, MAKE_DUE, TIMERS)
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
        state = (await town.file(order)).fulfilment.state
        assert state is not None
        due_at = next_timer(state)
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


async def three_orders(town: Town) -> list[OrderId]:
    await stock(town.ports, A=5)
    orders = [await place(town.ports, A=1) for _ in range(3)]
    await town.rest()
    return orders


async def problems(town: Town, orders: list[OrderId]) -> list[tuple[int, str | None]]:
    """Give of each timer how often it was taken since it was last set, and what was wrong."""
    each = [await timer(town, order) for order in orders]
    return [(task.tries, task.problem) for task in each]


async def test_an_order_that_can_not_be_read_holds_up_no_other_s_timer_and_is_listed(
    settings: Settings,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    logged: list[MutableMapping[str, Any]],
) -> None:
    async with open_town(settings) as town:
        orders = await three_orders(town)
    bad = orders[1]
    await change(database_url, EATEN, ".eaten", fulfilment_stream(bad))
    async with open_town(settings) as town:  # in processes that remember nothing of it
        for tried in range(1, FAILING_TRIES + 1):
            assert await ring(town, database_url) == len(orders)
            well, (tries, problem), last = await problems(town, orders)
            assert (well, tries, last) == ((0, None), tried, (0, None))
            assert problem is not None
            assert problem.startswith("StreamUnreadableError: fulfilment.")
            assert logged[-1]["event"] == "timer_failed"
            assert logged[-1]["first"] == logged[-1]["last"] == str(bad)

        monkeypatch.setenv("ORDERTRAIL_REDIS_URL", NOWHERE)
        shown = f"{bad}  {TIMERS}: tried {FAILING_TRIES} times: {problem}"
        assert (await saga("list", "--stuck")).stdout.splitlines() == [shown]
        for asked in (
            ["retry", str(bad)],
            ["skip", str(bad), "ship", "--reason", "x"],
            ["show", str(bad)],
        ):
            told = await saga(*asked)
            assert told.exit_code == 1
            assert told.stderr.startswith(f"this version can't read {bad}: fulfilment.")
            assert f"see `dead-letters show {bad}`" in told.stderr

        await change(database_url, HEALED, ".eaten", fulfilment_stream(bad))
        await ring(town, database_url)
        assert await problems(town, orders) == [(0, None)] * 3


@pytest.mark.usefixtures("logged")
async def test_an_order_of_which_nothing_can_be_decided_holds_up_no_other_s_timer(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_town(settings) as town:
        orders = await three_orders(town)

        def react(order: Order, *what: Any, **more: Any) -> rules.Reaction:
            if order.order_id == orders[0]:
                raise KeyError("it")
            return rules.react(order, *what, **more)

        monkeypatch.setattr(advancing, "react", react)
        assert await ring(town, database_url) == len(orders)
        assert await problems(town, orders) == [(1, "KeyError: 'it'"), (0, None), (0, None)]


async def test_where_the_store_is_away_no_order_is_taken_for_a_bad_one(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise StoreUnavailableError

    async with open_town(settings) as town:
        orders = await three_orders(town)
        monkeypatch.setattr(fulfilment, "advance", away)
        with pytest.raises(StoreUnavailableError):
            await ring(town, database_url)
        assert await problems(town, orders) == [(1, None)] * 3
