"""Snapshots of long streams: quicker, and never anything but the fold of the events."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from commands.order.cancel import CancelOrder, cancel_order
from commands.order.place import place_order
from commands.ports import Ports, Stream
from domain.aggregate import Aggregate
from domain.ids import OrderId, Sku, order_stream
from domain.order.decisions import LineToCancel
from domain.order.events import OrderEvent
from domain.order.state import ORDER, Order, evolve
from infrastructure.composition import RandomNames, SystemClock
from infrastructure.event_store import snapshots
from infrastructure.event_store.store import PostgresEventStore, open_event_store
from infrastructure.local.postgres import PostgresServer
from tests.integration.event_store.test_event_store import (
    MASTER_KEY,
    order,
    query,
    reader,
    request,
)

PASSWORD = secrets.token_hex(8)
LENGTH = snapshots.EVERY + 20


@pytest.fixture
def service_url(postgres_server: PostgresServer, database_url: str) -> str:
    """Give the URL that services have: with a role that owns nothing."""
    postgres_server.ensure_login("snapshot_service", PASSWORD, "ordertrail_service")
    return postgres_server.url(database_url.rpartition("/")[2], "snapshot_service", PASSWORD)


@pytest.fixture
async def store(service_url: str) -> AsyncIterator[PostgresEventStore]:
    async with open_event_store(service_url, MASTER_KEY, pool_size=2, pool_timeout_s=5) as opened:
        yield opened


@pytest.fixture
async def elsewhere(service_url: str) -> AsyncIterator[PostgresEventStore]:
    """Open the store of another process, which has loaded nothing yet."""
    async with open_event_store(service_url, MASTER_KEY, pool_size=2, pool_timeout_s=5) as opened:
        yield opened


@pytest.fixture
def ports(store: PostgresEventStore) -> Ports:
    return Ports(store, SystemClock(), RandomNames())


async def cancel_pieces(ports: Ports, order_id: OrderId, count: int) -> None:
    for _ in range(count):
        one = CancelOrder(order_id, reason="x", lines=[LineToCancel(Sku("85123A"), 1)])
        await cancel_order(one, request(), ports)


async def a_long_stream(ports: Ports) -> OrderId:
    placed = await place_order(order(quantity=1_000), request("k"), ports)
    await cancel_pieces(ports, placed.order_id, LENGTH)
    return placed.order_id


def counted(evolved: list[OrderEvent]) -> Aggregate[Order, OrderEvent]:
    """Give the aggregate that notes what it folds."""

    def noting(state: Order | None, event: OrderEvent) -> Order:
        evolved.append(event)
        return evolve(state, event)

    return replace(ORDER, evolve=noting)


async def test_a_short_stream_has_none(ports: Ports, database_url: str) -> None:
    placed = await place_order(order(quantity=10), request("k"), ports)
    await cancel_pieces(ports, placed.order_id, 5)
    assert query(database_url, "SELECT * FROM snapshots") == []


async def test_a_long_stream_is_folded_from_its_snapshot_to_the_same_state(
    store: PostgresEventStore, elsewhere: PostgresEventStore, ports: Ports, database_url: str
) -> None:
    order_id = await a_long_stream(ports)
    [(version, name)] = query(database_url, "SELECT originator_version, aggregate FROM snapshots")
    assert (version, name) == (snapshots.EVERY + 1, "order.v4")

    folded: list[OrderEvent] = []
    quick = await elsewhere.load(order_stream(order_id), counted(folded))
    whole = None
    for recorded in reader(database_url).events(order_id):
        assert isinstance(recorded.event, OrderEvent)
        whole = evolve(whole, recorded.event)
    assert quick.state == whole
    assert len(folded) == LENGTH + 1 - version

    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM snapshots")
    assert await store.load(order_stream(order_id), ORDER) == quick


async def test_many_who_load_a_long_stream_at_once_fold_it_once_and_keep_one_snapshot(
    elsewhere: PostgresEventStore, ports: Ports, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = await a_long_stream(ports)
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM snapshots")
    written: list[int] = []
    write = snapshots.Snapshots.write

    def noting(
        own: snapshots.Snapshots, aggregate: Aggregate[Any, Any], stream: Stream[Any]
    ) -> snapshots.Written:
        written.append(stream.version)
        return write(own, aggregate, stream)

    monkeypatch.setattr(snapshots.Snapshots, "write", noting)
    folded: list[OrderEvent] = []
    loads = [elsewhere.load(order_stream(order_id), counted(folded)) for _ in range(2)]
    one, other = await asyncio.gather(*loads)
    assert one == other
    assert len(folded) == LENGTH + 1
    assert written == [LENGTH + 1]


async def test_a_stream_that_ends_with_its_snapshot_goes_on_from_there(
    store: PostgresEventStore, elsewhere: PostgresEventStore, ports: Ports, database_url: str
) -> None:
    placed = await place_order(order(quantity=1_000), request("k"), ports)
    await cancel_pieces(ports, placed.order_id, snapshots.EVERY)
    before = await store.load(order_stream(placed.order_id), ORDER)
    [(version,)] = query(database_url, "SELECT originator_version FROM snapshots")
    assert version == before.version

    folded: list[OrderEvent] = []
    assert await elsewhere.load(order_stream(placed.order_id), counted(folded)) == before
    assert folded == []
    await cancel_pieces(ports, placed.order_id, 1)


async def test_a_session_that_may_only_read_loads_and_keeps_no_snapshot(
    elsewhere: PostgresEventStore, store: PostgresEventStore, ports: Ports, database_url: str
) -> None:
    order_id = await a_long_stream(ports)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM snapshots")
    await elsewhere._read("SELECT set_config('default_transaction_read_only', 'on', false)", [])
    assert await elsewhere.load(order_stream(order_id), ORDER) == await store.load(
        order_stream(order_id), ORDER
    )
    assert query(database_url, "SELECT * FROM snapshots") == []


@pytest.mark.parametrize(
    "change",
    [
        "mac = '\\x00'",
        "state = '\\x7b'",
        # One that is well-formed, on the right event, and a lie.
        "state = replace(convert_from(state, 'UTF8'), 'pending', 'cancelled')::bytea",
        "aggregate = 'order.v0'",
        "originator_version = 5",
        "originator_version = 5000",
    ],
)
async def test_a_snapshot_that_does_not_fit_is_passed_over(
    store: PostgresEventStore,
    elsewhere: PostgresEventStore,
    ports: Ports,
    database_url: str,
    change: str,
) -> None:
    order_id = await a_long_stream(ports)
    before = await store.load(order_stream(order_id), ORDER)
    with psycopg.connect(database_url) as connection:
        connection.execute(f"UPDATE snapshots SET {change}".encode())

    folded: list[OrderEvent] = []
    assert await elsewhere.load(order_stream(order_id), counted(folded)) == before
    assert len(folded) == LENGTH + 1
    await cancel_pieces(ports, order_id, 1)
