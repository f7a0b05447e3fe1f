"""A client that freezes inside an append: nobody waits for it for more than a moment.

The worst moment is played exactly: the call was executed and its transaction is not ended, as
the client's last bytes were never sent. It then holds the log's lock.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from prometheus_client import REGISTRY
from psycopg import pq

from commands.order.place import place_order
from commands.ports import Ports
from infrastructure.composition import RandomNames, SystemClock
from infrastructure.event_store.store import open_event_store
from tests.integration.event_store.test_event_store import MASTER_KEY, order, query, request

NAME = "frozen-command-api"
ARRAYS = 22
APPEND_NOTHING = b"SELECT FROM append_events(0%b)" % (b", '{}'" * ARRAYS)


@contextmanager
def frozen_inside_an_append(database_url: str) -> Iterator[None]:
    """Execute an append, and never send the Sync that would end its transaction."""
    connection = pq.PGconn.connect(f"{database_url}?application_name={NAME}".encode())
    connection.enter_pipeline_mode()
    connection.send_query_params(APPEND_NOTHING, None)
    connection.send_flush_request()
    while connection.flush() or connection.is_busy():
        connection.consume_input()
    result = connection.get_result()
    assert result is not None
    assert result.status == pq.ExecStatus.TUPLES_OK
    try:
        yield
    finally:
        connection.finish()


def blocked_by(name: str) -> float:
    return REGISTRY.get_sample_value("ordertrail_append_blocked_total", {"holder": name}) or 0.0


async def test_an_append_behind_a_frozen_client_is_stored_and_a_metric_names_the_client(
    database_url: str,
) -> None:
    before = blocked_by(NAME)
    async with open_event_store(database_url, MASTER_KEY, pool_size=2, pool_timeout_s=5) as store:
        ports = Ports(store, SystemClock(), RandomNames())
        first = await place_order(order(), request("k1"), ports)
        with frozen_inside_an_append(database_url):
            answers = await asyncio.gather(
                *(place_order(order(), request(f"w{n}"), ports) for n in range(20))
            )
            [(sessions,)] = query(
                database_url,
                f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}'",
            )
    assert sessions == 0
    assert first.position == 1
    assert sorted(answer.position for answer in answers) == list(range(2, 22))
    assert blocked_by(NAME) > before


async def test_an_append_that_is_held_up_under_the_lock_is_tried_again(database_url: str) -> None:
    async with open_event_store(database_url, MASTER_KEY, pool_size=2, pool_timeout_s=5) as store:
        ports = Ports(store, SystemClock(), RandomNames())
        await place_order(order(), request("k1"), ports)
        with psycopg.connect(database_url) as somebody:
            somebody.execute("LOCK TABLE events IN EXCLUSIVE MODE")
            placing = asyncio.create_task(place_order(order(), request("k2"), ports))
            await asyncio.sleep(2.5)  # longer than anybody may hold the log's lock
            assert not placing.done()
            somebody.rollback()
        assert (await placing).position == 2
