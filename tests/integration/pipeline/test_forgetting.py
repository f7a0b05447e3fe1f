"""A customer is forgotten: their key is gone, their orders say so, and nobody shows them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import redis.asyncio
from psycopg.rows import dict_row

from commands.order.change import Target
from commands.order.hold import hold_order, release_hold
from commands.order.place import PlaceOrder, place_order
from commands.ports import Answer
from domain.errors import DomainError
from domain.ids import CustomerId, OrderId, Sku
from domain.money import Currency
from domain.order.events import OrderLine, PaymentMethod
from domain.personal import PersonalData
from infrastructure import composition
from infrastructure.event_store.customers import Customers
from infrastructure.event_store.forgetting import Told, tell_orders
from infrastructure.event_store.mapper import LogEntry
from infrastructure.event_store.order_reader import UnreadableEventError
from infrastructure.event_store.recorder import read_log
from infrastructure.redis import forgetting, shard_keys, stored_document
from infrastructure.redis.generations import Generations
from infrastructure.redis.shard import (
    Change,
    DocumentMovedError,
    Parking,
    ShardWriter,
    Step,
)
from infrastructure.settings import ViewSettings
from projections.order.history import history_page
from tests.consistency import _assert_log_intact
from tests.integration.pipeline.conftest import Pipeline
from tests.integration.pipeline.test_dead_letters import dead_letters, poisoned
from tests.integration.pipeline.test_redis_cluster import cluster, cluster_url
from tests.integration.pipeline.test_views import make_views

__all__ = ["cluster", "cluster_url"]  # fixtures that this module uses too

EVE = CustomerId("c-eve")
SECRET = b"Eve Quux"
UNFED = 2


async def place(
    pipeline: Pipeline, customer: CustomerId = EVE, *, key: str, name: str = SECRET.decode()
) -> Answer:
    command = PlaceOrder(
        customer_id=customer,
        external_reference=None,
        personal=PersonalData(name, f"{name[:3].lower()}@secret.example"),
        currency=Currency("GBP"),
        # A word that a careless search for the customer would find.
        lines=[OrderLine(1, Sku("A"), f'"customer_id":"{EVE}"', 2, 255)],
        shipping_minor=0,
        tax_minor=0,
        discount_minor=0,
        payment=PaymentMethod.TOKEN,
    )
    return await place_order(command, pipeline.request(key), pipeline.ports)


@contextmanager
def customers(pipeline: Pipeline) -> Iterator[Customers]:
    url = pipeline.store.postgres_url.get_secret_value()
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        yield Customers(connection)


def delete_key(pipeline: Pipeline, customer: CustomerId = EVE) -> Sequence[OrderId]:
    """Do what can't be undone; give the customer's orders."""
    with customers(pipeline) as asked:
        asked.delete_key(customer)
        return asked.orders(customer)


async def finish(pipeline: Pipeline, orders: Sequence[OrderId]) -> tuple[Told, int]:
    """Do the rest as another process would: without any key in a cache."""
    async with composition.command_ports(pipeline.store) as ports:
        told = await tell_orders(orders, "me", ports, tell=lambda _: None)
    return told, await asyncio.to_thread(rewrite, pipeline, orders)


def rewrite(pipeline: Pipeline, orders: Sequence[OrderId]) -> int:
    reader = composition.order_reader(pipeline.store, pool_size=1)
    generations = Generations(pipeline.redis, pipeline.kafka.order_partitions)
    try:
        return forgetting.rewrite_documents(pipeline.redis, generations, reader, orders)
    finally:
        reader.close()


def everything_in_redis(pipeline: Pipeline) -> bytes:
    found: list[bytes] = []
    for key in pipeline.redis.scan_iter(count=1_000):
        found += [bytes(key), bytes(pipeline.redis.dump(key) or b"")]
        if pipeline.redis.type(key) == b"string":
            value: Any = pipeline.redis.get(key)
            found.append(bytes(value))
    return b"\n".join(found)


def log(pipeline: Pipeline) -> Sequence[LogEntry]:
    url = pipeline.store.postgres_url.get_secret_value()
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return read_log(connection, after=0, limit=10_000)


def frozen(pipeline: Pipeline, order_id: OrderId) -> Parking:
    """Give what somebody has in hands who is frozen before writing a parked order."""
    error = pipeline.reader.fold_many([order_id])[order_id]
    assert isinstance(error, UnreadableEventError)
    stale = Parking.of(order_id, pipeline.stored(order_id), error)
    assert stale.before is not None
    assert SECRET in stored_document.body_bytes(stale.before)
    return stale


def assert_moved(pipeline: Pipeline, stale: Parking) -> None:
    """See that they can't write it any more."""
    writer = ShardWriter(pipeline.redis, shard_keys.partition_of(stale.order_id, 6))
    with pytest.raises(DocumentMovedError):
        writer.apply([Step(shard_keys.FIRST_GENERATION, [stale])])


async def test_a_forgotten_customer_is_shown_nowhere_and_everybody_else_is(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        own = [await place(pipeline, key=f"k{n}") for n in range(3)]
        other = await place(pipeline, CustomerId("c-ada"), key="a", name="Ada Byron")
        await pipeline.cancel(own[0].order_id)
        await asyncio.to_thread(pipeline.await_complete, 5)
        assert SECRET in everything_in_redis(pipeline)
        before = log(pipeline)

        orders = delete_key(pipeline)
        assert orders == [one.order_id for one in own]
        told, _ = await finish(pipeline, orders)
        assert (told.now, told.unreadable) == (3, [])
        await asyncio.to_thread(pipeline.await_complete, 8)

    shown = everything_in_redis(pipeline)
    assert SECRET not in shown
    assert b"eve@secret" not in shown
    assert b"Ada Byron" in shown
    assert list(forgetting.leftovers(pipeline.redis, orders)) == []
    assert pipeline.assert_views_equal_folds() == 4
    after = log(pipeline)
    assert after[: len(before)] == before
    _assert_log_intact(after)
    found = pipeline.stored(other.order_id)
    assert found is not None
    assert b"Ada Byron" in found.body


async def test_what_people_wrote_of_a_customer_is_forgotten_with_them(pipeline: Pipeline) -> None:
    texts = b"Eve is abroad", b"Eve is back"
    with pipeline.relay(), pipeline.projector():
        order_id = (await place(pipeline, key="k")).order_id
        target, ports = Target(order_id), pipeline.ports
        held = await hold_order(target, texts[0].decode(), pipeline.request("h"), ports)
        await asyncio.to_thread(pipeline.await_complete, held.position)
        assert texts[0] in everything_in_redis(pipeline)
        orders = delete_key(pipeline)
        # This process has the key still, and finds out that it may not be used.
        released = await release_hold(target, texts[1].decode(), pipeline.request("r"), ports)
        again = await hold_order(target, texts[0].decode(), pipeline.request("h2"), ports)
        assert (released.position, again.position) == (3, 4)
        await finish(pipeline, orders)
        await asyncio.to_thread(pipeline.await_complete, 5)
    document = pipeline.reader.fold(order_id)
    assert document is not None
    assert document.body["hold_reason"] == "[forgotten]"
    for text in texts:
        assert text not in everything_in_redis(pipeline)
        assert not any(text in entry.state for entry in log(pipeline))
    assert pipeline.assert_views_equal_folds() == 1


async def test_what_a_killed_rebuild_has_built_shows_a_forgotten_customer_no_more(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await place(pipeline, key="k")
        await asyncio.to_thread(pipeline.await_complete, 1)
    document = pipeline.reader.fold(placed.order_id)
    assert document is not None
    shards = pipeline.generations.shards
    shard = shards[shard_keys.partition_of(placed.order_id, len(shards))]
    shard.apply_unfed(Step(UNFED, [Change(None, document)]), position=1)
    await finish(pipeline, delete_key(pipeline))

    orders = [placed.order_id]
    assert list(forgetting.leftovers(pipeline.redis, orders))
    assert forgetting.clear_elsewhere(pipeline.redis, pipeline.generations, orders) == 1
    assert SECRET not in everything_in_redis(pipeline)
    left = shard.read(UNFED, orders)[placed.order_id]
    assert left is not None
    assert left.position == 2  # of the event that says so, which the rebuild still has to take in
    assert forgetting.clear_elsewhere(pipeline.redis, pipeline.generations, orders) == 0


async def test_a_process_that_still_has_the_key_shows_and_seals_nothing_with_it(
    pipeline: Pipeline,
) -> None:
    first = await place(pipeline, key="k1")
    assert SECRET.decode() in repr(pipeline.reader.events(first.order_id))  # the key is cached
    await finish(pipeline, delete_key(pipeline))

    told = history_page(pipeline.reader.events(first.order_id))
    assert told is not None
    assert SECRET.decode() not in repr(told)
    assert told.items[0].data["personal"] == "[forgotten]"
    assert (told.items[1].actor.role, told.items[1].actor.subject) == ("operator", "me")
    document = pipeline.reader.fold(first.order_id)
    assert document is not None
    assert SECRET not in stored_document.body_bytes(document)

    for _ in range(2):  # with the key still cached, and with its deletion known
        with pytest.raises(DomainError) as refused:
            await place(pipeline, key="k2")
        assert refused.value.code == "customer_forgotten"
        again = await place(pipeline, key="k1")
        assert (again.order_id, again.replayed) == (first.order_id, True)
    assert (await pipeline.cancel(first.order_id)).status == "cancelled"


async def test_a_process_that_still_has_the_key_can_cancel_at_once(pipeline: Pipeline) -> None:
    first = await place(pipeline, key="k1")
    delete_key(pipeline)
    assert (await pipeline.cancel(first.order_id)).status == "cancelled"


async def test_every_order_is_either_found_and_told_or_refused(pipeline: Pipeline) -> None:
    await place(pipeline, key="first")
    outcomes: list[Answer | BaseException] = []
    some_are_placed = asyncio.Event()

    async def order_on() -> None:
        for number in range(200):
            one = place(pipeline, key=f"k{number}")
            outcomes.extend(await asyncio.gather(one, return_exceptions=True))
            if number == 20:
                some_are_placed.set()

    ordering = asyncio.create_task(order_on())
    await some_are_placed.wait()
    orders = await asyncio.to_thread(delete_key, pipeline)
    await ordering
    placed = {one.order_id for one in outcomes if isinstance(one, Answer)}
    refusals = [one for one in outcomes if isinstance(one, DomainError)]
    assert {one.code for one in refusals} == {"customer_forgotten"}
    assert len(placed) + len(refusals) == 200
    assert placed < set(orders)
    assert len(orders) == len(placed) + 1


async def test_what_was_stopped_after_the_key_was_deleted_is_finished_by_doing_it_again(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        for number in range(3):
            last = await place(pipeline, key=f"k{number}")
        await asyncio.to_thread(pipeline.await_complete, last.position)
    orders = delete_key(pipeline)
    async with composition.command_ports(pipeline.store) as ports:
        await tell_orders(orders[:1], "me", ports, tell=lambda _: None)
    # Nobody projects now: the documents are rewritten in place.
    assert delete_key(pipeline) == orders
    told, rewritten = await finish(pipeline, orders)
    assert (told.now, rewritten) == (2, 3)
    assert SECRET not in everything_in_redis(pipeline)
    again, rewritten = await finish(pipeline, orders)
    assert (again.now, rewritten) == (0, 0)
    assert len(log(pipeline)) == 6
    assert pipeline.assert_views_equal_folds() == 3


async def test_an_order_whose_beginning_is_damaged_is_still_theirs(pipeline: Pipeline) -> None:
    damaged, whole = [await place(pipeline, key=f"k{n}") for n in range(2)]
    with psycopg.connect(pipeline.store.postgres_url.get_secret_value()) as connection:
        connection.execute(
            "UPDATE events SET state = state || '}'::bytea WHERE order_id = %s", [damaged.order_id]
        )
    with customers(pipeline) as asked:
        assert asked.orders(EVE) == [damaged.order_id, whole.order_id]


async def test_the_first_deletion_counts(pipeline: Pipeline) -> None:
    await place(pipeline, key="k1")
    with customers(pipeline) as asked:
        found = asked.find(EVE)
        assert found is not None
        assert found.forgotten_at is None
        first = asked.delete_key(EVE)
        assert asked.delete_key(EVE) == first
        assert asked.find(EVE) == replace(found, forgotten_at=first)
        assert asked.find(CustomerId("nobody")) is None


async def test_a_parked_order_keeps_its_note_and_loses_its_personal_data(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        bad = await place(pipeline, key="k1")
        await asyncio.to_thread(pipeline.await_complete, bad.position)
    await pipeline.cancel(bad.order_id)
    with poisoned(pipeline, bad.order_id):
        with pipeline.relay(), pipeline.projector():
            await asyncio.to_thread(pipeline.await_complete, 2)
        [before] = dead_letters(pipeline).all()
        stale = frozen(pipeline, bad.order_id)
        assert SECRET in everything_in_redis(pipeline)
        told, rewritten = await finish(pipeline, delete_key(pipeline))
        assert (told.now, told.unreadable, rewritten) == (0, [bad.order_id], 1)
        assert SECRET not in everything_in_redis(pipeline)
        assert list(dead_letters(pipeline).all()) == [before]
        found = pipeline.stored(bad.order_id)
        assert found is not None
        assert found.header.parked
        # This process has the key still; and what is written anew must not let in a stale one.
        dead_letters(pipeline).retry(pipeline.reader, [bad.order_id])
        assert pipeline.stored(bad.order_id) == found
        assert_moved(pipeline, stale)
        assert SECRET not in everything_in_redis(pipeline)
    assert await sources(pipeline, bad.order_id) == ["event-store", "redis"]
    dead_letters(pipeline).retry(pipeline.reader, [bad.order_id])
    assert SECRET not in everything_in_redis(pipeline)  # though this process has the key still
    told, _ = await finish(pipeline, [bad.order_id])
    assert told.now == 1
    dead_letters(pipeline).retry(pipeline.reader, [bad.order_id])
    assert pipeline.assert_views_equal_folds() == 1


async def sources(pipeline: Pipeline, order_id: OrderId) -> list[str]:
    """Read an order twice, and say where it came from each time."""
    async with redis.asyncio.from_url(pipeline.redis_url, protocol=3) as client:
        views = make_views(pipeline, client)
        found = [await views.find(order_id, owner=None, min_position=0, wait_s=0) for _ in range(2)]
    return [one.source for one in found if one is not None]


async def test_a_copy_under_another_key_is_found(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        one = await place(pipeline, key="k1")
        await asyncio.to_thread(pipeline.await_complete, one.position)
    value: Any = pipeline.redis.get(
        shard_keys.document_key(one.order_id, 6, shard_keys.FIRST_GENERATION)
    )
    orders = delete_key(pipeline)
    await finish(pipeline, orders)
    pipeline.redis.set(f"another:document:{one.order_id}", value)
    assert list(forgetting.leftovers(pipeline.redis, orders)) == [
        f"another:document:{one.order_id}"
    ]


async def test_the_append_only_file_forgets_too(pipeline: Pipeline, servers_dir: Any) -> None:
    with pipeline.relay(), pipeline.projector():
        one = await place(pipeline, key="k1", name="Somebody Unique In A File")
        await asyncio.to_thread(pipeline.await_complete, one.position)
        await finish(pipeline, delete_key(pipeline))
        assert forgetting.rewrite_files(pipeline.redis) == []
    files = [file for file in (servers_dir / "redis").rglob("*") if file.is_file()]
    assert any("appendonly" in str(file) for file in files)
    assert not any(b"Somebody Unique In A File" in file.read_bytes() for file in files)


async def test_a_cluster_is_cleared_on_all_its_nodes(pipeline: Pipeline, cluster_url: str) -> None:
    settings = ViewSettings(redis_url=cluster_url, redis_cluster=True)
    client = composition.redis_client(settings)
    on_cluster = replace(pipeline, views=settings, redis=client)
    with on_cluster.relay(), on_cluster.projector():
        placed = await asyncio.gather(*(place(on_cluster, key=f"k{n}") for n in range(30)))
        for one in placed:
            await asyncio.to_thread(on_cluster.await_position, one.order_id, one.position)
    orders = delete_key(pipeline)
    assert len(list(forgetting.leftovers(client, orders))) == 30
    _, rewritten = await finish(on_cluster, orders)
    assert rewritten == 30
    assert list(forgetting.leftovers(client, orders)) == []
    assert forgetting.rewrite_files(client) == []
    assert forgetting.await_position(Generations(client, 6), 0, within_s=0, tell=lambda _: None)
    client.close()


def test_only_the_owner_may_forget(database_url: str, postgres_server: Any) -> None:
    postgres_server.ensure_login("test_forgetter", "secret", "ordertrail_service")
    url = postgres_server.url(database_url.rpartition("/")[2], "test_forgetter", "secret")
    with (
        psycopg.connect(url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT forget_customer('c-eve')")
