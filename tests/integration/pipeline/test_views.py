"""The reading side on a real Redis and event store: it answers, and never goes back in time."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest
import redis.asyncio

from commands.ports import Answer
from domain.errors import DomainError, UnavailableError
from domain.ids import CustomerId, OrderId
from infrastructure import composition
from infrastructure.redis import order_lists
from infrastructure.redis.live_reads import LiveReads
from infrastructure.redis.views import RedisOrderViews
from infrastructure.settings import StoreSettings
from projections.order.document import OrderDocument
from projections.ports import OrderQuery, TooManyFoldsError, ViewsUnavailableError
from tests.integration.pipeline.conftest import Pipeline

NOBODY = "redis://127.0.0.1:1/0"


def make_views(
    pipeline: Pipeline, client: "redis.asyncio.Redis", *, folds: int = 4, waiting: int = 100
) -> RedisOrderViews:
    return RedisOrderViews(
        client,
        pipeline.reader,
        partitions=pipeline.kafka.order_partitions,
        folds_at_once=folds,
        folds_waiting=waiting,
    )


@pytest.fixture
async def client(pipeline: Pipeline) -> AsyncIterator["redis.asyncio.Redis"]:
    url = pipeline.views.redis_url.get_secret_value()
    async with redis.asyncio.from_url(url, protocol=3) as opened:
        yield opened


@pytest.fixture
def views(pipeline: Pipeline, client: "redis.asyncio.Redis") -> RedisOrderViews:
    return make_views(pipeline, client)


async def test_a_fresh_order_is_read_before_any_worker_has_seen_it(
    pipeline: Pipeline, views: RedisOrderViews
) -> None:
    placed = await pipeline.place(1)

    view = await views.find(placed.order_id, owner=None, min_position=0, wait_s=0)
    assert view is not None
    assert (view.source, view.position) == ("event-store", placed.position)


async def test_a_fold_is_left_in_redis_for_the_next_reader(
    pipeline: Pipeline, views: RedisOrderViews
) -> None:
    placed = await pipeline.place(1)
    first = await views.find(placed.order_id, owner=None, min_position=0, wait_s=0)

    stored = pipeline.stored(placed.order_id)
    assert first is not None
    assert stored is not None
    assert stored.body == first.body


async def test_both_sources_give_the_same_bytes(pipeline: Pipeline, views: RedisOrderViews) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(1)
        last = await pipeline.cancel(placed.order_id)
        await asyncio.to_thread(pipeline.await_complete, last.position)
        from_redis = await views.find(placed.order_id, owner=None, min_position=0, wait_s=0)
        pipeline.redis.flushall()
        from_store = await views.find(placed.order_id, owner=None, min_position=0, wait_s=0)

    assert from_redis is not None
    assert from_store is not None
    assert (from_redis.source, from_store.source) == ("redis", "event-store")
    assert from_redis.body == from_store.body


async def test_ones_own_write_is_read_at_its_position(
    pipeline: Pipeline, views: RedisOrderViews
) -> None:
    placed = await pipeline.place(1)
    await views.find(placed.order_id, owner=None, min_position=0, wait_s=0)
    cancelled = await pipeline.cancel(placed.order_id)

    view = await views.find(placed.order_id, owner=None, min_position=cancelled.position, wait_s=0)
    assert view is not None
    assert view.position == cancelled.position


async def test_anothers_order_is_looked_for_as_one_that_is_not_there(
    pipeline: Pipeline, views: RedisOrderViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(1)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
    folded: list[OrderId] = []
    fold = pipeline.reader.fold

    def noting(order_id: OrderId) -> OrderDocument | None:
        folded.append(order_id)
        return fold(order_id)

    monkeypatch.setattr(pipeline.reader, "fold", noting)
    for order_id in (placed.order_id, OrderId(uuid4())):
        found = await views.find(order_id, owner=CustomerId("stranger"), min_position=0, wait_s=0)
        assert found is None
        assert folded.pop() == order_id
    own = await views.find(placed.order_id, owner=CustomerId("c-1"), min_position=0, wait_s=0)
    assert own is not None
    assert own.source == "redis"
    assert folded == []


async def test_a_position_that_the_log_has_not_reached_is_refused(
    pipeline: Pipeline, views: RedisOrderViews
) -> None:
    placed = await pipeline.place(1)
    last = (await pipeline.place(2)).position
    for order_id in (placed.order_id, OrderId(uuid4())):
        with pytest.raises(DomainError) as refused:
            await views.find(order_id, owner=None, min_position=last + 1, wait_s=0)
        assert refused.value.code == "not_recorded_yet"
    found = await views.find(placed.order_id, owner=None, min_position=last, wait_s=0)
    assert found is not None


async def test_an_unknown_order_is_nobodys(views: RedisOrderViews) -> None:
    assert await views.find(OrderId(uuid4()), owner=None, min_position=0, wait_s=0) is None


async def test_single_reads_go_on_while_redis_is_down_and_lists_say_so(pipeline: Pipeline) -> None:
    placed = await pipeline.place(1)
    async with redis.asyncio.from_url(NOBODY) as nobody:
        views = make_views(pipeline, nobody)
        view = await views.find(placed.order_id, owner=None, min_position=0, wait_s=0)
        assert view is not None
        assert view.source == "event-store"
        with pytest.raises(ViewsUnavailableError):
            await views.list(OrderQuery(None, None, None, 10, None))


async def test_single_reads_go_on_while_the_event_store_is_down(
    pipeline: Pipeline, client: "redis.asyncio.Redis"
) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(1)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
    away = StoreSettings(
        postgres_url="postgresql://x:x@127.0.0.1:1/x",
        master_key_file=pipeline.store.master_key_file,
        read_timeout_s=0.2,
    )
    reader = composition.order_reader(away, pool_size=1)
    views = RedisOrderViews(
        client,
        reader,
        partitions=pipeline.kafka.order_partitions,
        folds_at_once=1,
        folds_waiting=1,
    )

    view = await views.find(placed.order_id, owner=None, min_position=0, wait_s=0)
    assert view is not None
    assert view.source == "redis"
    with pytest.raises(UnavailableError):
        await views.find(placed.order_id, owner=None, min_position=placed.position + 1, wait_s=0)
    reader.close()


async def test_after_an_outage_redis_is_not_believed_until_it_has_caught_up(
    pipeline: Pipeline, client: "redis.asyncio.Redis"
) -> None:
    placed = await pipeline.place(1)
    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, placed.position)
    # With the workers stopped, the views fall behind: an answer from them would go back in time.
    cancelled = await pipeline.cancel(placed.order_id)
    returned = make_views(pipeline, client)
    view = await returned.find(placed.order_id, owner=None, min_position=0, wait_s=0)
    assert view is not None
    assert view.position == cancelled.position

    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, cancelled.position)
        view = await returned.find(placed.order_id, owner=None, min_position=0, wait_s=0)
    assert view is not None
    assert (view.source, view.position) == ("redis", cancelled.position)


async def test_no_reader_ever_sees_an_order_go_back_in_time(
    pipeline: Pipeline, client: "redis.asyncio.Redis"
) -> None:
    views = [make_views(pipeline, client) for _ in range(2)]
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(1)
        order_id, seen, stop = placed.order_id, [0], asyncio.Event()

        async def read(which: RedisOrderViews) -> None:
            while not stop.is_set():
                at_least = seen[-1]
                view = await which.find(order_id, owner=None, min_position=0, wait_s=0)
                assert view is not None
                assert view.position >= at_least
                seen.append(max(seen[-1], view.position))

        readers = [asyncio.create_task(read(which)) for which in views for _ in range(3)]
        await asyncio.sleep(0.3)
        pipeline.redis.flushall()
        await pipeline.cancel(order_id)
        await asyncio.sleep(1.0)
        pipeline.redis.flushall()
        await asyncio.sleep(1.0)
        stop.set()
        await asyncio.gather(*readers)


async def test_more_folds_than_allowed_are_refused(
    pipeline: Pipeline, client: "redis.asyncio.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = await asyncio.gather(*(pipeline.place(n) for n in range(10)))
    fold = pipeline.reader.fold

    def slowly(order_id: OrderId) -> OrderDocument | None:
        time.sleep(0.2)
        return fold(order_id)

    monkeypatch.setattr(pipeline.reader, "fold", slowly)
    views = make_views(pipeline, client, folds=1, waiting=1)
    outcomes = await asyncio.gather(
        *(views.find(one.order_id, owner=None, min_position=0, wait_s=0) for one in answers),
        return_exceptions=True,
    )
    assert any(isinstance(one, TooManyFoldsError) for one in outcomes)
    assert any(one is not None and not isinstance(one, BaseException) for one in outcomes)


async def list_all(views: RedisOrderViews, limit: int, **filters: Any) -> list[bytes]:
    bodies: list[bytes] = []
    after: str | None = None
    wanted = OrderQuery(None, None, None, limit, None)
    while True:
        query = replace(wanted, after=after, **filters)
        page = await views.list(query)
        bodies += page.bodies
        after = page.next_after
        if after is None:
            return bodies


async def test_pages_give_every_order_once_newest_first(
    pipeline: Pipeline, views: RedisOrderViews
) -> None:
    with pipeline.relay(), pipeline.projector():
        answers: list[Answer] = [await pipeline.place(n) for n in range(25)]
        await asyncio.to_thread(pipeline.await_complete, answers[-1].position)

    for limit in (1, 7, 25, 100):
        bodies = await list_all(views, limit)
        ids = [orjson.loads(body)["order_id"] for body in bodies]
        assert ids == [str(one.order_id) for one in reversed(answers)]


async def test_filters_combine(pipeline: Pipeline, views: RedisOrderViews) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = [await pipeline.place(n) for n in range(14)]
        cancelled = await pipeline.cancel(answers[0].order_id)
        await asyncio.to_thread(pipeline.await_complete, cancelled.position)

    assert len(await list_all(views, 1, customer_id="c-0")) == 2
    assert len(await list_all(views, 1, customer_id="c-0", status="pending")) == 1
    assert len(await list_all(views, 5, status="cancelled")) == 1
    assert len(await list_all(views, 5, external_reference="ref-3")) == 1
    assert len(await list_all(views, 5, external_reference="ref-0", status="pending")) == 0
    assert len(await list_all(views, 5, external_reference="ref-3", customer_id="c-0")) == 0
    assert await list_all(views, 5, customer_id=secrets.token_hex(4)) == []
    assert len(await list_all(views, 5, payment_status="none", return_status="none")) == 14
    assert len(await list_all(views, 1, payment_status="none", status="cancelled")) == 1
    assert await list_all(views, 5, payment_status="paid") == []


async def test_a_time_bounds_a_list(pipeline: Pipeline, views: RedisOrderViews) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = [await pipeline.place(n) for n in range(9)]
        await asyncio.to_thread(pipeline.await_complete, answers[-1].position)
    bodies = [orjson.loads(body) for body in await list_all(views, 100)]
    times = [datetime.fromisoformat(body["placed_at"]) for body in bodies]
    for limit in (1, 100):
        some = await list_all(views, limit, created_from=times[6], created_to=times[2])
        assert [orjson.loads(body) for body in some] == bodies[3:7]


async def test_where_few_of_many_match_a_page_is_short_and_says_where_to_go_on(
    pipeline: Pipeline, views: RedisOrderViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_lists, "MOST_LOOKED_AT", 4)
    with pipeline.relay(), pipeline.projector():
        answers = [await pipeline.place(n) for n in range(12)]
        await asyncio.to_thread(pipeline.await_complete, answers[-1].position)
    none = OrderQuery(None, None, None, 1, None, payment_status="paid")
    page = await views.list(none)
    assert page.bodies == []
    assert page.next_after is not None
    assert await list_all(views, 1, payment_status="paid") == []


@pytest.mark.parametrize("limit", [1, 5, 150])
async def test_what_hardly_any_order_matches_is_looked_for_in_few_round_trips(
    pipeline: Pipeline, client: "redis.asyncio.Redis", monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(order_lists, "LOOKED_AT_A_TIME", 10)
    with pipeline.relay(), pipeline.projector():
        answers = [await pipeline.place(n) for n in range(35)]
        await asyncio.to_thread(pipeline.await_complete, answers[-1].position)
    reads = LiveReads(client, pipeline.kafka.order_partitions)
    looked_at: list[int] = []
    get_documents = reads.get_documents

    async def counting(order_ids: Sequence[OrderId]) -> Sequence[bytes | None]:
        looked_at.append(len(order_ids))
        return await get_documents(order_ids)

    monkeypatch.setattr(reads, "get_documents", counting)
    lists = order_lists.OrderLists(client, reads)
    page = await lists.page(OrderQuery(None, None, None, limit, None, payment_status="paid"))
    assert (page.bodies, page.next_after) == ([], None)
    assert sum(looked_at) == 35
    assert looked_at == {1: [2, 10, 10, 10, 3], 5: [6, 10, 10, 9], 150: [35]}[limit]


async def test_a_list_says_which_position_it_is_as_of(
    pipeline: Pipeline, views: RedisOrderViews
) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(1)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
        page = await views.list(OrderQuery(None, None, None, 10, None))
    assert page.as_of_position == placed.position


@pytest.mark.parametrize("after", ["~~~", "99999999999999999.nonsense"])
async def test_a_cursor_of_somebody_elses_making_shows_nothing_else(
    views: RedisOrderViews, pipeline: Pipeline, after: str
) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(1)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
    page = await views.list(OrderQuery(CustomerId("c-2"), None, None, 10, after))
    assert page.bodies == []


async def test_entries_that_somebody_else_put_into_a_list_are_passed_over(
    views: RedisOrderViews, pipeline: Pipeline
) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = [await pipeline.place(number) for number in range(3)]
        await asyncio.to_thread(pipeline.await_complete, placed[-1].position)
    entries = {b"no-order": 0, b"\xff\xfe": 0, b"0": 0, b"9\x80\x01": 0, b"9\x80\x02": 0}
    pipeline.redis.zadd("{order-0}:g1:list:all", entries)
    after, shown = None, 0
    for _ in range(10):
        page = await views.list(OrderQuery(None, None, None, 1, after))
        shown, after = shown + len(page.bodies), page.next_after
        if after is None:
            break
    assert (shown, after) == (3, None)


async def test_more_lists_at_once_than_there_are_connections_are_all_given(
    pipeline: Pipeline,
) -> None:
    client = composition.async_redis_client(pipeline.views, timeout_s=5.0)
    async with client:
        views = make_views(pipeline, client)
        wanted = [views.list(OrderQuery(None, None, None, 10, None)) for _ in range(300)]
        pages = await asyncio.gather(*wanted)
    assert [page.bodies for page in pages] == [[]] * 300
