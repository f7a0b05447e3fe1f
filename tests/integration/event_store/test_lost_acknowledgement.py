"""A connection that breaks after the commit: nobody is told of a failure that did not happen."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent

from commands.order.cancel import CancelOrder, cancel_order
from commands.order.place import place_order
from commands.ports import Ports, StoreUnavailableError
from infrastructure.composition import RandomNames, SystemClock
from infrastructure.event_store import writer as writing
from infrastructure.event_store.append_call import Outcome, StoredAppend
from infrastructure.event_store.store import open_event_store
from infrastructure.event_store.writer import GroupCommitWriter
from tests.integration.event_store.test_event_store import order, query, request


@pytest.fixture
async def ports(database_url: str) -> AsyncIterator[Ports]:
    async with open_event_store(
        database_url, os.urandom(32), pool_size=2, pool_timeout_s=5
    ) as store:
        yield Ports(store, SystemClock(), RandomNames())


@pytest.fixture
def lose_one_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the next call commit, and break its connection before the answer is heard."""
    honest, lost = GroupCommitWriter._call, [0]

    async def call(self: GroupCommitWriter, appends: Sequence[StoredAppend]) -> Sequence[Outcome]:
        outcomes = await honest(self, appends)
        if not lost[0]:
            lost[0] = len(appends)
            raise psycopg.OperationalError("the connection is gone")
        return outcomes

    monkeypatch.setattr(GroupCommitWriter, "_call", call)
    return lost


async def test_an_order_whose_acknowledgement_was_lost_is_stored_once(
    ports: Ports, lose_one_acknowledgement: list[int], database_url: str
) -> None:
    placed = await place_order(order(), request("k"), ports)

    assert lose_one_acknowledgement == [1]
    assert placed.position == 1
    assert query(database_url, "SELECT count(*) FROM events") == [(1,)]


async def test_a_command_without_a_key_recognizes_its_own_events(
    ports: Ports, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = await place_order(order(), request("k"), ports)
    lost: list[Sequence[Outcome]] = []
    honest = GroupCommitWriter._call

    async def call(self: GroupCommitWriter, appends: Sequence[StoredAppend]) -> Sequence[Outcome]:
        outcomes = await honest(self, appends)
        if not lost:
            lost.append(outcomes)
            raise psycopg.OperationalError("the connection is gone")
        return outcomes

    monkeypatch.setattr(GroupCommitWriter, "_call", call)
    cancelled = await cancel_order(CancelOrder(placed.order_id, reason="x"), request(), ports)

    assert lost
    assert (cancelled.position, cancelled.status) == (2, "cancelled")
    assert query(database_url, "SELECT count(*) FROM events") == [(2,)]


async def test_a_batch_whose_acknowledgement_was_lost_is_stored_once(
    ports: Ports, lose_one_acknowledgement: list[int], database_url: str
) -> None:
    answers = await asyncio.gather(
        *(place_order(order(customer=f"c-{n}"), request(f"k{n}"), ports) for n in range(50))
    )

    assert lose_one_acknowledgement[0] > 0
    assert sorted(one.position for one in answers) == list(range(1, 51))
    assert query(database_url, "SELECT count(*) FROM events") == [(50,)]


async def test_a_terminated_session_is_replaced(ports: Ports, database_url: str) -> None:
    await place_order(order(), request("k1"), ports)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    placed = await place_order(order(), request("k2"), ports)
    assert placed.position == 2


async def test_while_the_server_may_only_read_callers_wait_and_then_append(
    ports: Ports, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failover may leave the connection at what is a standby, or was a primary."""
    await place_order(order(), request("k1"), ports)
    with psycopg.connect(
        database_url, autocommit=True, options="-c default_transaction_read_only=off"
    ) as connection:
        name = connection.info.dbname

        def may_only_read(value: str) -> None:
            connection.execute(f'ALTER DATABASE "{name}" {value}')
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        may_only_read("SET default_transaction_read_only = on")
        with monkeypatch.context() as impatient:
            impatient.setattr(writing, "PATIENCE_S", 0.2)
            with pytest.raises(StoreUnavailableError):
                await place_order(order(), request("k2"), ports)
        placing = asyncio.create_task(place_order(order(), request("k3"), ports))
        await asyncio.sleep(0.3)
        assert not placing.done()
        connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        await placing
    assert query(database_url, "SELECT count(*) FROM events") == [(2,)]


async def test_a_database_that_stays_away_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PATIENCE_S", 0.2)
    nowhere = "postgresql://nobody:x@127.0.0.1:1/nothing"
    async with open_event_store(nowhere, os.urandom(32), pool_size=1, pool_timeout_s=0.2) as store:
        with pytest.raises(StoreUnavailableError):
            await place_order(order(), request("k"), Ports(store, SystemClock(), RandomNames()))


async def test_no_call_takes_more_than_the_database_stores_in_its_time(database_url: str) -> None:
    size = writing.MOST_BYTES // 2
    async with GroupCommitWriter(database_url) as writer:
        await asyncio.gather(
            *(
                writer.append(StoredAppend([StoredEvent(f"order-{n}", 1, "t", bytes(size))]))
                for n in range(5)
            )
        )
    together = "SELECT count(*) FROM events GROUP BY xmin::text ORDER BY 1"
    assert query(database_url, together) == [(1,), (2,), (2,)]


async def test_one_append_that_the_database_refuses_fails_alone(
    database_url: str,
) -> None:
    def append(stream: str, version: int) -> StoredAppend:
        return StoredAppend([StoredEvent(stream, version, "t", b"{}")])

    async with GroupCommitWriter(database_url) as writer:
        await writer.append(append("taken", 1))
        before = writer._connection
        # Without an expected version the unique index is what refuses; the batch goes on.
        outcomes = await asyncio.gather(
            writer.append(append("a", 1)),
            writer.append(append("taken", 1)),
            writer.append(append("b", 1)),
            return_exceptions=True,
        )
        assert writer._connection is before, "what it refused was the data, not the session"
    assert isinstance(outcomes[1], psycopg.errors.UniqueViolation)
    assert [one.outcome for one in outcomes if isinstance(one, Outcome)] == ["stored", "stored"]
