"""A database that hangs: connections stay open and nothing answers. Callers are told, and soon."""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any, Self

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool.base import AttemptWithBackoff

from commands.order.place import place_order
from commands.ports import Ports, StoreUnavailableError
from domain.errors import UnavailableError
from domain.ids import order_stream
from domain.order.state import ORDER
from infrastructure.composition import RandomNames, SystemClock
from infrastructure.event_store import bounded_reads
from infrastructure.event_store.bounded_reads import BoundedReads
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.event_store.recorder import open_datastore
from infrastructure.event_store.sealing import DataKeys
from infrastructure.event_store.store import open_event_store
from infrastructure.local.ports import LOOPBACK, free_port
from infrastructure.postgres import pools
from projections.ports import TooManyFoldsError
from tests.integration.event_store.test_event_store import (
    MASTER_KEY,
    order,
    query,
    reader,
    request,
)

TOLD_WITHIN_S = 15.0
THREADS_OF_A_POOL = 4
GIVEN_UP_AFTER_S = 7.0
"""Asking twice takes 10 s before; the next try would come at 31 s."""


class Line:
    """A way to the database that can be blocked: what is sent then waits."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._port = free_port()
        self.open = asyncio.Event()
        self.open.set()

    @property
    def url(self) -> str:
        return make_conninfo(self._url, host=LOOPBACK, port=self._port)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connect, LOOPBACK, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.open.set()
        self._server.close()

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        parts = conninfo_to_dict(self._url)
        far, out = await asyncio.open_connection(str(parts["host"]), str(parts["port"]))
        await asyncio.gather(self._carry(near, out), self._carry(far, back))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self.open.wait()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # the other side hung up: that is what is tested
        finally:
            sink.close()


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[Line]:
    async with Line(database_url) as made:
        yield made


async def test_commands_are_refused_in_time_and_stored_once_in_the_end(
    line: Line, database_url: str
) -> None:
    async with open_event_store(line.url, MASTER_KEY, pool_size=2, pool_timeout_s=5) as store:
        ports = Ports(store, SystemClock(), RandomNames())
        first = await place_order(order(), request("k1"), ports)
        line.open.clear()
        async with asyncio.timeout(TOLD_WITHIN_S):
            told = await asyncio.gather(
                place_order(order(), request("k2"), ports),  # its customer's key is known
                place_order(order(customer="c-new"), request("k3"), ports),
                store.load(order_stream(first.order_id), ORDER),
                store.ping(),
                return_exceptions=True,
            )
        assert [type(one) for one in told] == [StoreUnavailableError] * 4
        line.open.set()
        for key, customer in (("k2", "c-1"), ("k3", "c-new")):
            await place_order(order(customer=customer), request(key), ports)
    assert query(database_url, "SELECT count(*) FROM events") == [(3,)]


def test_a_reader_without_a_database_makes_one_pool_and_ends_it() -> None:
    """A pool has threads, which go on trying, and connect in the end."""
    nowhere = f"postgresql://nobody:x@{LOOPBACK}:1/nothing"
    open_it = partial(open_datastore, nowhere, pool_size=1, connect_timeout_s=0.2)
    reader = OrderReader(open_it, DataKeys(MASTER_KEY))

    def ask(_: int) -> None:
        with pytest.raises(UnavailableError):
            reader.head()

    pools = threads_of_pools()
    with ThreadPoolExecutor(4) as asking:
        list(asking.map(ask, range(12)))
    assert len(threads_of_pools() - pools) <= THREADS_OF_A_POOL
    reader.close()
    assert threads_of_pools() <= pools


async def test_a_reader_is_there_soon_after_the_database_is(database_url: str) -> None:
    """A pool tries again after 1, 2, 4, 8 s and so on: after a long outage, after minutes."""
    line = Line(database_url)
    with closing(reader(line.url)) as one:
        with pytest.raises(UnavailableError):
            await asyncio.to_thread(one.head)
        await asyncio.sleep(GIVEN_UP_AFTER_S)
        async with line:
            assert await asyncio.to_thread(one.head) == 0


async def test_a_store_is_there_soon_after_the_database_is(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AttemptWithBackoff, "INITIAL_DELAY", 0.1)
    monkeypatch.setattr(pools, "RECONNECT_TIMEOUT_S", 0.5)
    line = Line(database_url)
    async with open_event_store(line.url, MASTER_KEY, pool_size=2, pool_timeout_s=0.5) as store:
        with pytest.raises(StoreUnavailableError):
            await store.ping()
        await asyncio.sleep(1.4)  # the last try was at 1.5 s, the next would come at 3.1
        async with line:
            await store.ping()


async def test_connections_that_hang_are_given_up_without_asking_them(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is found dead; the others may hang, and of them each would be waited for."""
    async with open_event_store(line.url, MASTER_KEY, pool_size=3, pool_timeout_s=0.5) as store:
        await asyncio.gather(*(store._read("SELECT pg_sleep(0.2)", []) for _ in range(3)))
        line.open.clear()
        execute = psycopg.AsyncConnection.execute

        async def dead(*_: Any, **__: Any) -> Any:
            monkeypatch.setattr(psycopg.AsyncConnection, "execute", execute)
            raise psycopg.OperationalError("the connection is gone")

        monkeypatch.setattr(psycopg.AsyncConnection, "execute", dead)
        async with asyncio.timeout(TOLD_WITHIN_S):
            with pytest.raises(StoreUnavailableError):
                await store.ping()


def test_readers_take_all_that_a_url_says(database_url: str) -> None:
    url = f"{database_url}?application_name=mine&options=-c%20jit%3Doff"
    said = "SELECT current_setting('application_name') AS name, current_setting('jit') AS jit"
    with (
        closing(open_datastore(url, pool_size=1, connect_timeout_s=5)) as datastore,
        datastore.get_connection() as connection,
    ):
        assert connection.execute(said).fetchone() == {"name": "mine", "jit": "off"}


def threads_of_pools() -> set[str]:
    return {one.name for one in threading.enumerate() if one.name.startswith("pool-")}


async def test_reads_are_refused_in_time_and_count_as_busy_until_they_end(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_reads, "WITHIN_S", 0.5)
    reads = BoundedReads("test", at_once=1, waiting=0)
    through = reader(line.url)
    assert await reads.run(through.head) == 0
    line.open.clear()
    with pytest.raises(UnavailableError):
        await reads.run(through.head)
    with pytest.raises(TooManyFoldsError):
        await reads.run(through.head)
    line.open.set()
    while reads.busy:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.05)
    assert await reads.run(through.head) == 0
