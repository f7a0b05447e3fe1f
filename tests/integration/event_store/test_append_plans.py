"""Appends stay quick on a log of any age: nothing is looked up by reading a table through."""

import asyncio

import psycopg

from commands.order.place import place_order
from commands.ports import Ports
from infrastructure.composition import RandomNames, SystemClock
from infrastructure.event_store.store import open_event_store
from tests.integration.event_store.test_event_store import MASTER_KEY, order, request

BATCHES, ORDERS = 12, 60
"""More batches than the five calls after which PostgreSQL may keep a plan."""
ROWS_READ = """
SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname = ANY(%(tables)s))
     + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = ANY(%(tables)s))
"""
TABLES = ["events", "answers", "unique_names", "customer_keys"]


async def test_new_orders_find_nothing_and_so_read_nothing_also_from_a_young_log(
    database_url: str,
) -> None:
    async with open_event_store(database_url, MASTER_KEY, pool_size=2, pool_timeout_s=5) as store:
        ports = Ports(store, SystemClock(), RandomNames())
        for batch in range(BATCHES):
            numbers = range(batch * ORDERS, (batch + 1) * ORDERS)
            await asyncio.gather(
                *(
                    place_order(
                        order(reference=f"r-{n}", customer=f"c-{n}"), request(f"k-{n}"), ports
                    )
                    for n in numbers
                )
            )

    # But for the head of the log, once a call. Sessions have told their counts: they are closed.
    assert rows_read(database_url) < BATCHES * ORDERS


def rows_read(database_url: str) -> int:
    with psycopg.connect(database_url, autocommit=True) as connection:
        found = connection.execute(ROWS_READ, {"tables": TABLES}).fetchone()
    assert found is not None
    return int(found[0])
