"""What is decided at the same moment: one key, one stream, a stream that was only read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent

from commands.order.cancel import CancelOrder, cancel_order
from commands.order.place import place_order
from commands.ports import Ports
from domain.errors import DomainError
from domain.ids import CustomerId, Sku, StreamId
from domain.order.decisions import LineToCancel
from infrastructure.composition import RandomNames, SystemClock
from infrastructure.event_store import sealing
from infrastructure.event_store.append_call import Outcome, StoredAppend
from infrastructure.event_store.store import open_event_store
from infrastructure.event_store.writer import GroupCommitWriter
from tests.integration.event_store.test_event_store import (
    EMAIL,
    MASTER_KEY,
    order,
    query,
    reader,
    request,
)

CALLERS = 20


@pytest.fixture
async def two_processes(database_url: str) -> AsyncIterator[tuple[Ports, Ports]]:
    """Give two stores that know nothing of each other: each its writer, its keys, its pool."""
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(
                open_event_store(database_url, MASTER_KEY, pool_size=4, pool_timeout_s=5)
            )
            for _ in range(2)
        ]
        first, second = (Ports(store, SystemClock(), RandomNames()) for store in stores)
        yield first, second


async def test_one_key_in_one_batch_places_one_order(
    two_processes: tuple[Ports, Ports], database_url: str
) -> None:
    ports, _ = two_processes
    answers = await asyncio.gather(
        *(place_order(order(), request("same"), ports) for _ in range(CALLERS))
    )
    assert len({answer.order_id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * (CALLERS - 1)
    assert query(database_url, "SELECT count(*) FROM events") == [(1,)]


async def test_one_key_in_two_processes_at_once_places_one_order(
    two_processes: tuple[Ports, Ports], database_url: str
) -> None:
    for number in range(10):
        answers = await asyncio.gather(
            *(
                place_order(order(), request(f"k{number}"), ports)
                for ports in two_processes
                for _ in range(3)
            )
        )
        assert len({(answer.order_id, answer.position) for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1
    assert query(database_url, "SELECT count(*) FROM events") == [(10,)]


async def test_one_key_with_two_bodies_at_once_is_refused_to_one_of_them(
    two_processes: tuple[Ports, Ports], database_url: str
) -> None:
    outcomes = await asyncio.gather(
        *(
            place_order(order(), request("k", body=body), ports)
            for ports, body in zip(two_processes, (b"one", b"other"), strict=True)
        ),
        return_exceptions=True,
    )
    [refused] = [one for one in outcomes if isinstance(one, DomainError)]
    assert refused.code == "idempotency_key_reused"
    assert query(database_url, "SELECT count(*) FROM events") == [(1,)]


async def test_one_order_cancelled_in_two_processes_at_once_is_cancelled_once(
    two_processes: tuple[Ports, Ports], database_url: str
) -> None:
    placed = await place_order(order(), request("k"), two_processes[0])
    command = CancelOrder(placed.order_id, reason="x")
    outcomes = await asyncio.gather(
        *(cancel_order(command, request(), ports) for ports in two_processes * 5),
        return_exceptions=True,
    )
    refused = [one for one in outcomes if isinstance(one, DomainError)]
    assert len(refused) == len(outcomes) - 1
    assert {one.code for one in refused} == {"illegal_transition"}
    assert query(database_url, "SELECT count(*) FROM events") == [(2,)]


def an_append(stream: str, version: int, **read: int) -> StoredAppend:
    """Append one event to a stream, decided after reading others at these versions."""
    event = StoredEvent(stream, version, "test.v1", b"{}")
    expected = {StreamId(name): seen for name, seen in read.items()}
    return StoredAppend([event], expected={StreamId(stream): version - 1, **expected})


async def test_a_stream_that_was_only_read_must_not_have_moved(database_url: str) -> None:
    async with GroupCommitWriter(database_url) as writer:
        stored = await writer.append(an_append("stock", 1))
        assert stored.outcome == "stored"
        late = await writer.append(an_append("order", 1, stock=0))
        in_time = await writer.append(an_append("order", 1, stock=1))
    assert late == Outcome("version_conflict", b"stock", 0)
    assert (in_time.outcome, in_time.position) == ("stored", 2)


async def test_who_reads_a_stream_that_another_writes_at_once_never_wins_unseen(
    database_url: str,
) -> None:
    """Write skew: each of two appends has read what the other writes; exactly one is stored."""
    async with GroupCommitWriter(database_url) as one, GroupCommitWriter(database_url) as other:
        for number in range(20):
            a, b = f"a{number}", f"b{number}"
            first, second = await asyncio.gather(
                one.append(an_append(a, 1, **{b: 0})), other.append(an_append(b, 1, **{a: 0}))
            )
            assert {first.outcome, second.outcome} == {"stored", "version_conflict"}


async def test_a_conflict_in_a_batch_fails_its_own_caller_only(database_url: str) -> None:
    async with GroupCommitWriter(database_url) as writer:
        await writer.append(an_append("hot", 1))
        outcomes = await asyncio.gather(
            *(writer.append(an_append(f"cold{n}", 1)) for n in range(CALLERS)),
            writer.append(an_append("hot", 1)),
            *(writer.append(an_append(f"warm{n}", 1)) for n in range(CALLERS)),
        )
    assert outcomes.pop(CALLERS).outcome == "version_conflict"
    assert {one.outcome for one in outcomes} == {"stored"}


async def test_of_two_data_keys_for_a_customer_in_one_batch_one_counts(database_url: str) -> None:
    customer = CustomerId("c-1")

    def sealed(stream: str, wrapped: bytes) -> StoredAppend:
        return msgspec.structs.replace(an_append(stream, 1), data_keys={customer: wrapped})

    async with GroupCommitWriter(database_url) as writer:
        first, same, other = await asyncio.gather(
            writer.append(sealed("a", b"one")),
            writer.append(sealed("b", b"one")),
            writer.append(sealed("c", b"other")),
        )
    assert (first.outcome, same.outcome) == ("stored", "stored")
    assert other == Outcome("data_key_raced", b"c-1", 0)
    assert query(database_url, "SELECT originator_id FROM events ORDER BY 1") == [("a",), ("b",)]
    assert query(database_url, "SELECT wrapped_key FROM customer_keys") == [(b"one",)]


async def test_orders_of_a_new_customer_can_be_read_whose_key_went_out_of_date_meanwhile(
    two_processes: tuple[Ports, Ports], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports, _ = two_processes
    with monkeypatch.context() as patched:
        patched.setattr(sealing, "ASKED_AGAIN_S", 0.0)  # so each of them draws another key
        answers = await asyncio.gather(
            *(place_order(order(), request(f"k{number}"), ports) for number in range(CALLERS))
        )
    read = reader(database_url)
    for answer in answers:
        [recorded] = read.events(answer.order_id)
        assert recorded.event.personal.email == EMAIL  # type: ignore[union-attr]


async def test_many_who_cancel_pieces_of_one_order_at_once_all_succeed(
    two_processes: tuple[Ports, Ports],
) -> None:
    ports, _ = two_processes
    placed = await place_order(order(quantity=100), request("k"), ports)
    one = CancelOrder(placed.order_id, reason="x", lines=[LineToCancel(Sku("85123A"), 1)])
    answers = await asyncio.gather(*(cancel_order(one, request(), ports) for _ in range(40)))
    assert sorted(answer.version for answer in answers) == list(range(2, 42))
    assert ports.turns._locks == {}
