"""The table of tasks, on a real database: a lease is one taker's, and runs out by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from domain.ids import OrderId
from infrastructure.postgres.tasks import LONGEST_PROBLEM, Task, Tasks

QUEUE, LONG_S, OVER_S = "test.tasks", 60.0, -1.0
ORDER = OrderId(uuid4())
PAST, FUTURE = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
async def tasks(database_url: str) -> AsyncIterator[Tasks]:
    pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = AsyncConnectionPool(
        database_url, kwargs={"autocommit": True}, min_size=1, max_size=2, open=False
    )
    async with pool:
        yield Tasks(pool)


async def take(tasks: Tasks, *, lease_s: float = LONG_S, limit: int = 10) -> list[str]:
    return [task.key for task in await tasks.take(QUEUE, lease_s=lease_s, limit=limit)]


async def test_what_is_due_is_taken_the_oldest_first_and_by_one_alone(tasks: Tasks) -> None:
    later = PAST + timedelta(days=1)
    await tasks.put(QUEUE, [("b", ORDER, later), ("a", ORDER, PAST), ("c", ORDER, FUTURE)])
    assert await take(tasks, limit=1) == ["a"]
    assert await take(tasks) == ["b"]
    assert await take(tasks) == []


async def test_a_task_that_is_being_taken_is_passed_over(tasks: Tasks, database_url: str) -> None:
    await tasks.put(QUEUE, [("a", ORDER, PAST), ("b", ORDER, PAST)])
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute("SELECT 1 FROM tasks WHERE key = 'a' FOR UPDATE")
        assert await take(tasks) == ["b"]


async def test_a_statement_that_a_deadlock_has_undone_is_made_again(
    tasks: Tasks, database_url: str
) -> None:
    await tasks.put(QUEUE, [("a", ORDER, FUTURE), ("b", ORDER, FUTURE)])
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute("SET deadlock_timeout = '60s'")  # so it is the other's to be undone
        await other.execute("UPDATE tasks SET problem = 'of people' WHERE key = 'b'")
        sooner = asyncio.create_task(tasks.sooner(QUEUE, [("a", ORDER, PAST), ("b", ORDER, PAST)]))
        await asyncio.to_thread(_until_one_waits, database_url)
        await other.execute("UPDATE tasks SET problem = 'of people' WHERE key = 'a'")
        await other.commit()
        await sooner
    assert await take(tasks) == ["a", "b"]


def _until_one_waits(database_url: str) -> None:
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with psycopg.connect(database_url, autocommit=True) as looking:
        while looking.execute(waits).fetchone() == (0,):
            time.sleep(0.01)


async def test_a_lease_that_runs_out_hands_it_on_and_counts_the_tries(tasks: Tasks) -> None:
    await tasks.put(QUEUE, [("a", ORDER, PAST)])
    assert [one.tries for one in await tasks.take(QUEUE, lease_s=OVER_S, limit=1)] == [1]
    assert [one.tries for one in await tasks.take(QUEUE, lease_s=LONG_S, limit=1)] == [2]


async def test_who_has_lost_the_lease_can_neither_end_it_nor_put_it_off(tasks: Tasks) -> None:
    await tasks.put(QUEUE, [("a", ORDER, PAST)])
    [lost] = await tasks.take(QUEUE, lease_s=OVER_S, limit=1)
    [mine] = await tasks.take(QUEUE, lease_s=LONG_S, limit=1)
    await tasks.done(lost)
    await tasks.put_off(lost, seconds=OVER_S, problem="late")
    await tasks.again(lost, PAST)
    assert await tasks.of_order(ORDER) == [mine]
    await tasks.done(mine)
    assert await tasks.of_order(ORDER) == []


async def test_what_is_put_off_says_why_and_comes_due_again(tasks: Tasks) -> None:
    await tasks.put(QUEUE, [("a", ORDER, PAST)])
    [one] = await tasks.take(QUEUE, lease_s=LONG_S, limit=1)
    await tasks.put_off(one, seconds=OVER_S, problem="x" * 2 * LONGEST_PROBLEM)
    assert [task.problem for task in await tasks.failing(tries=1, limit=10)] == [
        "x" * LONGEST_PROBLEM
    ]
    assert await tasks.failing(tries=2, limit=10) == []
    assert await take(tasks) == ["a"]


async def test_putting_it_twice_changes_nothing_and_sooner_only_brings_it_forward(
    tasks: Tasks,
) -> None:
    await tasks.put(QUEUE, [("a", ORDER, FUTURE)])
    await tasks.put(QUEUE, [("a", ORDER, PAST)])
    assert await take(tasks) == []
    await tasks.sooner(QUEUE, [("a", ORDER, FUTURE + timedelta(days=1))])
    assert [task.due_at for task in await tasks.of_order(ORDER)] == [FUTURE]
    await tasks.sooner(QUEUE, [("a", ORDER, PAST), ("b", ORDER, PAST)])
    assert sorted(await take(tasks)) == ["a", "b"]


async def test_what_is_wanted_sooner_while_it_is_taken_outlives_its_taker(tasks: Tasks) -> None:
    await tasks.put(QUEUE, [("a", ORDER, PAST)])
    [taken] = await tasks.take(QUEUE, lease_s=LONG_S, limit=1)
    await tasks.sooner(QUEUE, [("a", ORDER, PAST)])
    await tasks.done(taken)
    assert await take(tasks) == ["a"]


@pytest.mark.parametrize(
    "end",
    [
        lambda tasks, taken: tasks.done(taken),
        lambda tasks, taken: tasks.again(taken, FUTURE + timedelta(days=1)),
        lambda tasks, taken: tasks.put_off(taken, seconds=172_800, problem="late"),
    ],
    ids=["done", "again", "put off"],
)
async def test_what_is_wanted_after_its_lease_while_it_is_taken_is_not_slept_in(
    tasks: Tasks, end: Callable[[Tasks, Task], Awaitable[None]]
) -> None:
    """It comes due when the lease ends, and not before: one who works on it is enough."""
    await tasks.put(QUEUE, [("a", ORDER, PAST)])
    [taken] = await tasks.take(QUEUE, lease_s=LONG_S, limit=1)
    await tasks.sooner(QUEUE, [("a", ORDER, FUTURE)])
    await end(tasks, taken)
    [after] = await tasks.of_order(ORDER)
    assert taken.due_at - timedelta(seconds=1) < after.due_at < taken.due_at
    assert await take(tasks) == []


async def test_what_is_wanted_after_its_lease_ran_out_is_not_slept_in_either(tasks: Tasks) -> None:
    await tasks.put(QUEUE, [("a", ORDER, PAST)])
    [late] = await tasks.take(QUEUE, lease_s=OVER_S, limit=1)
    await tasks.sooner(QUEUE, [("a", ORDER, FUTURE)])
    await tasks.done(late)
    assert await take(tasks) == ["a"]


async def test_set_anew_it_is_as_if_it_had_never_been_tried(tasks: Tasks) -> None:
    await tasks.put(QUEUE, [("a", ORDER, PAST)])
    [taken] = await tasks.take(QUEUE, lease_s=LONG_S, limit=1)
    await tasks.again(taken, FUTURE)
    [after] = await tasks.of_order(ORDER)
    assert (after.due_at, after.tries, after.problem) == (FUTURE, 0, None)


async def test_who_thinks_by_a_clock_that_is_behind_is_not_given_it_again_and_again(
    tasks: Tasks,
) -> None:
    await tasks.put(QUEUE, [("a", ORDER, PAST)])
    [taken] = await tasks.take(QUEUE, lease_s=LONG_S, limit=1)
    await tasks.again(taken, PAST)
    [after] = await tasks.of_order(ORDER)
    assert after.due_at > PAST + timedelta(hours=1)
