"""Durable tasks: put, taken under a lease, and done or put off. See sql/0009_tasks.sql.

Rule: a task is a reminder and never the truth. Whoever takes one looks at the order first, so one
that comes twice, late, or after the order has moved on, does nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.errors import UnavailableError
from domain.ids import OrderId
from infrastructure.gathered import Gathered
from infrastructure.postgres.deadline import deadline

WITHIN_S = 5.0
LONGEST_PROBLEM = 500

PUT = """
INSERT INTO tasks (queue, key, order_id, due_at)
SELECT %s, * FROM unnest(%s::text[], %s::uuid[], %s::timestamptz[])
ON CONFLICT (queue, key) DO NOTHING
"""
# One that was taken (tries > 0) moves in any case, be it by the least that there is: so its taker,
# who may have looked at the order too early to know, can neither end it nor have it sleep in.
SOONER = """
INSERT INTO tasks (queue, key, order_id, due_at)
SELECT %s, * FROM unnest(%s::text[], %s::uuid[], %s::timestamptz[])
ON CONFLICT (queue, key) DO UPDATE
SET due_at = least(excluded.due_at, tasks.due_at - interval '1 microsecond')
WHERE tasks.due_at > excluded.due_at OR tasks.tries > 0
"""
# SKIP LOCKED: two workers that look at once take different tasks.
TAKE = """
UPDATE tasks t SET due_at = clock_timestamp() + make_interval(secs => %(lease_s)s),
                   tries = t.tries + 1
FROM (SELECT queue, key FROM tasks
      WHERE queue = %(queue)s AND due_at <= clock_timestamp()
      ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS due
WHERE t.queue = due.queue AND t.key = due.key
RETURNING t.queue, t.key, t.order_id, t.due_at, t.tries, t.problem
"""
# What was taken is only its taker's: not where the lease has run out and somebody else has it,
# nor where somebody has asked for it since.
_TAKEN = "queue = %(queue)s AND key = %(key)s AND tries = %(tries)s AND due_at = %(due_at)s"
DONE = """
DELETE FROM tasks t USING unnest(%s::text[], %s::text[], %s::int[], %s::timestamptz[])
    AS taken (queue, key, tries, due_at)
WHERE (t.queue, t.key, t.tries, t.due_at) = (taken.queue, taken.key, taken.tries, taken.due_at)
"""
# By its taker's clock it may not be due yet; were that behind, it would be taken again and again.
AGAIN = f"""
UPDATE tasks SET due_at = greatest(%(again_at)s, clock_timestamp() + interval '0.1 s'),
                 tries = 0, problem = NULL
WHERE {_TAKEN}
"""  # noqa: S608
PUT_OFF = f"""
UPDATE tasks SET due_at = clock_timestamp() + make_interval(secs => %(seconds)s),
                 problem = %(problem)s
WHERE {_TAKEN}
"""  # noqa: S608
# By the database's clock; not where somebody has taken it since, who is at it then.
MAKE_DUE = f"UPDATE tasks SET due_at = clock_timestamp() WHERE {_TAKEN}"  # noqa: S608
LIST = "SELECT queue, key, order_id, due_at, tries, problem FROM tasks"


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do.

    Attributes:
        due_at: when it may be taken; of a taken one: when its lease ends.
        tries: times that it was taken, this one included.
        problem: why the last try came to nothing; None: it is waited for, and nothing is wrong.
    """

    queue: str
    key: str
    order_id: OrderId
    due_at: datetime
    tries: int = 0
    problem: str | None = None


class Tasks:
    """The table of tasks. Every call raises UnavailableError where PostgreSQL is away."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]]) -> None:
        self._pool = pool
        self._ends = Gathered(self._remove)

    async def put(self, queue: str, tasks: Collection[tuple[str, OrderId, datetime]]) -> None:
        """Add (key, order, due at); one whose key is there already is left as it is."""
        if tasks:
            keys, orders, due = zip(*tasks, strict=True)
            await self._run(PUT, [queue, list(keys), list(orders), list(due)])

    async def sooner(self, queue: str, tasks: Collection[tuple[str, OrderId, datetime]]) -> None:
        """Add (key, order, due at); one that is there already comes due at the earlier time.

        One that somebody has taken comes due when the lease ends, if not before, whatever its taker
        says. So of two who look at one order at once, the one who knows less can't have it sleep
        in, nor end it; one that comes too early for that finds nothing to do.
        """
        if tasks:
            # Sorted, as where tasks end: no two statements wait for each other.
            keys, orders, due = zip(*sorted(tasks), strict=True)
            await self._run(SOONER, [queue, list(keys), list(orders), list(due)])

    async def take(self, queue: str, *, lease_s: float, limit: int) -> Sequence[Task]:
        """Lease what is due; what is neither done nor put off by then comes due again."""
        return await self._run(TAKE, {"queue": queue, "lease_s": lease_s, "limit": limit})

    async def done(self, task: Task) -> None:
        """Remove a taken task; nothing, if it is somebody else's by now."""
        await self._ends.get(task)

    async def again(self, task: Task, due_at: datetime) -> None:
        """Have a taken task come due at another time, as if it had never been tried."""
        await self._run(AGAIN, {**_taken(task), "again_at": due_at})

    async def put_off(self, task: Task, *, seconds: float, problem: str | None) -> None:
        """Have a taken task come due again, and say why; None: nothing is wrong."""
        shown = None if problem is None else problem[:LONGEST_PROBLEM]
        values = {**_taken(task), "seconds": seconds, "problem": shown}
        await self._run(PUT_OFF, values)

    async def make_due(self, task: Task) -> None:
        """Have a task that was listed come due now; nothing, if it was taken since."""
        await self._run(MAKE_DUE, _taken(task))

    async def of_order(self, order_id: UUID) -> Sequence[Task]:
        return await self._run(f"{LIST} WHERE order_id = %s ORDER BY due_at", [order_id])

    async def failing(self, *, tries: int, limit: int) -> Sequence[Task]:
        """List tasks that were tried so often in vain, the oldest first."""
        query = f"{LIST} WHERE tries >= %s AND problem IS NOT NULL ORDER BY due_at LIMIT %s"
        return await self._run(query, [tries, limit])

    async def _remove(self, tasks: Sequence[Task]) -> Sequence[None]:
        taken = sorted((one.queue, one.key, one.tries, one.due_at) for one in tasks)
        await self._run(DONE, [list(column) for column in zip(*taken, strict=True)])
        return [None] * len(tasks)

    async def _run(self, query: str, values: Any) -> Sequence[Task]:
        try:
            try:
                return await self._run_once(query, values)
            except psycopg.errors.DeadlockDetected:
                # Undone as a whole, so that another statement goes on; then there is room for it.
                return await self._run_once(query, values)
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            raise UnavailableError("postgres", str(error)) from error

    async def _run_once(self, query: str, values: Any) -> Sequence[Task]:
        async with self._pool.connection() as connection:
            with deadline(connection, WITHIN_S):
                async with connection.cursor(row_factory=class_row(Task)) as cursor:
                    await cursor.execute(query, values)
                    return await cursor.fetchall() if cursor.description else []


def _taken(task: Task) -> dict[str, Any]:
    return {"queue": task.queue, "key": task.key, "tries": task.tries, "due_at": task.due_at}
