"""What a process remembers of streams: never more than the log has, and never other than it."""

import asyncio
from collections.abc import AsyncIterator
from unittest import mock

import psycopg
import pytest

from commands.order.place import place_order
from commands.ports import Ports, Stream
from domain.ids import StreamId, order_stream
from domain.order.events import OrderEvent
from domain.order.state import ORDER
from infrastructure.composition import RandomNames, SystemClock
from infrastructure.event_store import loading
from infrastructure.event_store.store import PostgresEventStore, open_event_store
from tests.integration.event_store.test_event_store import MASTER_KEY, order, request
from tests.integration.event_store.test_snapshots import cancel_pieces, counted


@pytest.fixture
async def stores(
    database_url: str,
) -> AsyncIterator[tuple[PostgresEventStore, PostgresEventStore]]:
    """Open the stores of two processes."""
    async with (
        open_event_store(database_url, MASTER_KEY, pool_size=2, pool_timeout_s=5) as one,
        open_event_store(database_url, MASTER_KEY, pool_size=2, pool_timeout_s=5) as other,
    ):
        yield one, other


async def test_only_what_is_new_is_folded_also_where_another_process_has_written_it(
    stores: tuple[PostgresEventStore, PostgresEventStore],
) -> None:
    ours, theirs = (Ports(store, SystemClock(), RandomNames()) for store in stores)
    placed = await place_order(order(quantity=10), request("k"), ours)
    stream, folded = order_stream(placed.order_id), list[OrderEvent]()
    await ours.store.load(stream, counted(folded))
    assert len(folded) == 1
    await cancel_pieces(theirs, placed.order_id, 2)

    folded.clear()
    loaded = await ours.store.load(stream, counted(folded))
    assert len(folded) == 2
    assert loaded == await theirs.store.load(stream, ORDER)
    folded.clear()
    assert await ours.store.load(stream, counted(folded)) == loaded
    assert folded == []
    await cancel_pieces(ours, placed.order_id, 1)  # at the right version, chained to the right hash


async def test_loads_that_come_together_share_a_round_trip_and_fail_each_alone(
    stores: tuple[PostgresEventStore, PostgresEventStore],
) -> None:
    ours = Ports(stores[0], SystemClock(), RandomNames())
    orders = [(await place_order(order(), request(key), ours)).order_id for key in "abcde"]
    with mock.patch.object(stores[0]._loader, "_read", wraps=stores[0]._loader._read) as reads:
        loads = [ours.store.load(order_stream(one), ORDER) for one in orders]
        no_name = ours.store.load(StreamId("order-\ud800"), ORDER)
        *loaded, refused = await asyncio.gather(*loads, no_name, return_exceptions=True)
    assert isinstance(refused, psycopg.DataError)
    states = [one.state for one in loaded if isinstance(one, Stream)]
    assert [state.order_id for state in states if state is not None] == orders
    assert reads.call_count <= len(orders)
    assert len(await ours.store.load_all([(order_stream(one), ORDER) for one in orders])) == 5


async def test_a_stream_that_is_named_twice_is_folded_once(
    stores: tuple[PostgresEventStore, PostgresEventStore],
) -> None:
    ours = Ports(stores[0], SystemClock(), RandomNames())
    placed = await place_order(order(quantity=10), request("k"), ours)
    await cancel_pieces(ours, placed.order_id, 2)
    stream = order_stream(placed.order_id)
    for store in stores:  # one that has loaded it before, and one that has not
        folded: list[OrderEvent] = []
        one, other = await store.load_all([(stream, counted(folded)), (stream, counted(folded))])
        assert one == other == await ours.store.load(stream, ORDER)
        assert one.version == 3
    assert len(folded) == 3


EDIT = (
    "UPDATE events SET state ="
    " replace(convert_from(state, 'UTF8'), 'correlation_id\":\"', 'correlation_id\":\"y')::bytea"
)


@pytest.mark.parametrize(
    ("change", "version"),
    [
        ("DELETE FROM events WHERE originator_version > 1", 1),
        ("DELETE FROM events", 0),
        (EDIT, 3),
    ],
)
async def test_where_the_log_is_not_what_it_was_the_stream_is_folded_anew(
    stores: tuple[PostgresEventStore, PostgresEventStore],
    database_url: str,
    change: str,
    version: int,
) -> None:
    """As after a restore from a backup that lacks the last events."""
    ours = Ports(stores[0], SystemClock(), RandomNames())
    placed = await place_order(order(quantity=10), request("k"), ours)
    await cancel_pieces(ours, placed.order_id, 2)
    stream = order_stream(placed.order_id)
    assert (await ours.store.load(stream, ORDER)).version == 3
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(change.encode())

    folded: list[OrderEvent] = []
    loaded = await ours.store.load(stream, counted(folded))
    assert (loaded.version, len(folded)) == (version, version)
    assert loaded == await stores[1].load(stream, ORDER)


@pytest.mark.parametrize(("what", "most"), [("REMEMBERED", 2), ("MOST_BYTES", 2_500)])
async def test_what_is_remembered_is_bounded_in_number_and_in_bytes(
    stores: tuple[PostgresEventStore, PostgresEventStore],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    most: int,
) -> None:
    monkeypatch.setattr(loading, what, most)
    ours = Ports(stores[0], SystemClock(), RandomNames())
    streams = []
    for number in range(3):
        placed = await place_order(order(quantity=1), request(f"k{number}"), ours)
        streams.append(order_stream(placed.order_id))
        await ours.store.load(streams[-1], ORDER)
    folded: list[OrderEvent] = []
    for stream in streams[1:]:
        await ours.store.load(stream, counted(folded))
    assert folded == []
    await ours.store.load(streams[0], counted(folded))
    assert len(folded) == 1
