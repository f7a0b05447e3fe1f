"""A rebuild on real servers: complete, checked, level with what is read, and reversible."""

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import redis.asyncio

from commands.ports import Answer
from domain.ids import CustomerId, OrderId
from infrastructure import composition
from infrastructure.rebuild import lifecycle
from infrastructure.rebuild import workers as working
from infrastructure.rebuild.check import Beside
from infrastructure.rebuild.fill import fill
from infrastructure.rebuild.lifecycle import RefusedError
from infrastructure.rebuild.log import OrderLog, RebuildRunsError, opened, ranges
from infrastructure.rebuild.pace import Pace, Stop
from infrastructure.rebuild.run import ChangedError, WrongError
from infrastructure.rebuild.workers import NICE, Workers
from infrastructure.redis import shard_keys
from infrastructure.redis.generations import LedgerMovedError
from infrastructure.redis.views import RedisOrderViews
from projections.order.document import PROJECTION_VERSION, OrderDocument, fold
from projections.ports import OrderQuery
from tests.integration.pipeline.conftest import Pipeline
from tests.integration.pipeline.test_dead_letters import poisoned
from tests.integration.pipeline.test_views import list_all, make_views
from tests.integration.rebuild.conftest import open_parts, rebuilding


async def place_some(pipeline: Pipeline, count: int, *, begin: int = 0) -> list[Answer]:
    """Place orders and cancel every third; wait until Redis shows them."""
    answers = [await pipeline.place(n) for n in range(begin, begin + count)]
    position = answers[-1].position
    for one in answers[::3]:
        position = (await pipeline.cancel(one.order_id)).position
    await asyncio.to_thread(pipeline.await_complete, position)
    return answers


async def run(pipeline: Pipeline, *, processes: int = 0, accept: bool = False) -> None:
    def rebuild() -> None:
        with rebuilding(pipeline, processes=processes) as one:
            one.run(resume=False, accept=accept)

    await asyncio.to_thread(rebuild)


async def test_the_generation_that_is_read_after_a_rebuild_is_what_the_log_says(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 30)
        await run(pipeline, processes=2)

        assert pipeline.generations.live() == 2
        assert pipeline.assert_views_equal_folds() == 30
        async with redis.asyncio.from_url(pipeline.redis_url, protocol=3) as client:
            views = make_views(pipeline, client)
            assert len(await list_all(views, 7)) == 30
            assert len(await list_all(views, 7, status="cancelled")) == 10


def test_workers_stand_back_from_the_live_services(pipeline: Pipeline) -> None:
    opening = partial(composition.rebuild_parts, pipeline.store, pipeline.views)
    before = os.nice(0)
    with Workers(opening, processes=1) as workers:
        assert workers._pool.submit(os.nice, 0).result() == min(19, before + NICE)


def test_workers_that_are_killed_while_they_wait_keep_nobody_waiting(pipeline: Pipeline) -> None:
    opening = partial(composition.rebuild_parts, pipeline.store, pipeline.views)
    with Workers(opening, processes=1, events_per_s=0.001) as workers:
        waiting = workers._pool.submit(_wait_long)
        [worker] = workers._pool._processes.values()
        time.sleep(1.0)
        worker.kill()
        with pytest.raises(BrokenProcessPool):
            waiting.result()


def _wait_long() -> None:
    working._workers[0].pace.took(1)


async def test_what_happens_after_the_flip_is_in_the_generation_that_one_rolls_back_to(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        first = await place_some(pipeline, 10)
        await run(pipeline)
        await place_some(pipeline, 20, begin=10)
        last = await pipeline.cancel(first[1].order_id)
        await asyncio.to_thread(pipeline.await_complete, last.position)

        assert lifecycle.roll_back(pipeline.generations) == (2, 1)
        assert pipeline.assert_views_equal_folds() == 30
        assert lifecycle.roll_back(pipeline.generations) == (1, 2)
        assert lifecycle.drop_previous(pipeline.generations) == {1}
        assert list(pipeline.generations.keys(1)) == []
        await place_some(pipeline, 3, begin=30)
        assert pipeline.assert_views_equal_folds() == 33
    with pytest.raises(RefusedError):
        lifecycle.roll_back(pipeline.generations)


def _break_document(pipeline: Pipeline, order_id: OrderId) -> None:
    key = shard_keys.document_key(order_id, 6, 2)
    stored: Any = pipeline.redis.get(key)
    pipeline.redis.set(key, stored.replace(b'"pending"', b'"shipped"'))


def _break_header(pipeline: Pipeline, order_id: OrderId) -> None:
    key = shard_keys.document_key(order_id, 6, 2)
    stored: Any = pipeline.redis.get(key)
    pipeline.redis.set(key, stored.replace(b'"lists":["all"', b'"lists":["al"'))


def _age(pipeline: Pipeline, order_id: OrderId) -> None:
    """Have both generations lose the order's newest event."""
    for generation in (1, 2):
        key = shard_keys.document_key(order_id, 6, generation)
        stored: Any = pipeline.redis.get(key)
        pipeline.redis.set(key, str(int(stored[:20]) - 1).zfill(20).encode() + stored[20:])


def _lose_document(pipeline: Pipeline, order_id: OrderId) -> None:
    pipeline.redis.delete(shard_keys.document_key(order_id, 6, 2))


def _lose_list_entry(pipeline: Pipeline, order_id: OrderId) -> None:
    key = shard_keys.list_key(shard_keys.partition_of(order_id, 6), 2, "all")
    pipeline.redis.zremrangebylex(key, "-", "+")


def _list(
    pipeline: Pipeline, order_id: OrderId, name: str, *, generation: int = 2, score: int = 0
) -> None:
    partition = shard_keys.partition_of(order_id, 6)
    document = pipeline.generations.shards[partition].read(generation, [order_id])[order_id]
    assert document is not None
    key = shard_keys.list_key(partition, generation, name)
    pipeline.redis.zadd(key, {document.header.sort_key: score})


def _misplace(pipeline: Pipeline, order_id: OrderId) -> None:
    _list(pipeline, order_id, "status:cancelled")


def _misplace_in_both(pipeline: Pipeline, order_id: OrderId) -> None:
    _list(pipeline, order_id, "status:cancelled")
    _list(pipeline, order_id, "status:cancelled", generation=1, score=5)


def _move_list_entry(pipeline: Pipeline, order_id: OrderId) -> None:
    _list(pipeline, order_id, "all", score=5)


def _invent_document(pipeline: Pipeline, order_id: OrderId) -> None:
    # Another last digit, and nothing else: adding one would change the digit before an f, too.
    nobody = OrderId(UUID(int=order_id.int ^ 1))
    stored: Any = pipeline.redis.get(shard_keys.document_key(order_id, 6, 2))
    pipeline.redis.set(shard_keys.document_key(nobody, 6, 2), stored)


@pytest.mark.parametrize(
    ("plant", "named"),
    [
        (_break_document, "differs in $.status"),
        (_break_header, "differs in the header"),
        (_age, "differs in the position"),
        (_lose_document, "the document is missing"),
        (_lose_list_entry, "is not in each of its lists"),
        (_move_list_entry, "is not in each of its lists"),
        (_misplace, "stands in the list status:cancelled without reason"),
        (_misplace_in_both, "stands in the list status:cancelled without reason"),
        (_invent_document, "has a document, and no event"),
    ],
)
async def test_a_planted_difference_stops_the_flip_and_is_named(
    pipeline: Pipeline, plant: Any, named: str
) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 12)
        victim = answers[1].order_id

        def planting() -> None:
            with rebuilding(pipeline) as one, opened(open_parts(pipeline).connect) as log:
                plan = lifecycle.begin(pipeline.generations, log)
                one.build(plan)
                plan = lifecycle.advance(pipeline.generations, plan, "hand over")
                one.hand_over(log, plan)
                lifecycle.advance(pipeline.generations, plan, "check")
                plant(pipeline, victim)
                one.run(resume=True, accept=True)

        with pytest.raises(WrongError) as stopped:
            await asyncio.to_thread(planting)
        found = "\n".join(map(str, stopped.value.found.named))
        assert named in found
        assert str(victim)[:-1] in found
        assert pipeline.generations.live() == 1
        assert lifecycle.abort(pipeline.generations) == 2
        assert list(pipeline.generations.keys(2)) == []
        assert pipeline.assert_views_equal_folds() == 12


async def test_what_both_generations_show_alike_is_right_unless_one_projector_wrote_both(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 6)
        await run(pipeline)
        wrong, stray = answers[1], answers[2]
        for generation in (1, 2):
            key = shard_keys.document_key(wrong.order_id, 6, generation)
            stored: Any = pipeline.redis.get(key)
            pipeline.redis.set(key, stored.replace(b'"pending"', b'"shipped"'))
            _list(pipeline, stray.order_id, "status:cancelled", generation=generation)

        def compare(beside: Beside | None) -> set[str]:
            with rebuilding(pipeline) as one, opened(open_parts(pipeline).connect) as log:
                bounds, head = log.bounds(log.head()), log.head()
                named = one.compare(2, beside, bounds, head).wrong.named
            return set(map(str, named))

        last = stray.position or 0
        apart = await asyncio.to_thread(compare, Beside(1, apart_to=last))
        since = await asyncio.to_thread(compare, Beside(1, apart_to=(wrong.position or 0) - 1))
        alone = await asyncio.to_thread(compare, None)
    assert apart == set()
    assert len(since) == 2
    assert f"{wrong.order_id}: differs in $.status" in since
    assert since == alone


async def test_a_changed_projection_shows_its_differences_and_flips_when_they_are_accepted(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(events: Sequence[Any]) -> OrderDocument:
        after = fold(events)
        assert after is not None
        return OrderDocument(after.body | {"status": after.body["status"].upper()}, after.versions)

    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 25)
        monkeypatch.setattr("infrastructure.event_store.order_reader.fold", changed)
        with pytest.raises(ChangedError) as stopped:
            await run(pipeline)
        assert pipeline.generations.live() == 1
        assert stopped.value.found.count == 25
        named = [str(one) for one in stopped.value.found.named]
        assert len(named) == 20
        assert all("differs in $.status, the header" in one for one in named)

        def resume() -> None:
            with rebuilding(pipeline) as one:
                one.run(resume=True, accept=True)

        await asyncio.to_thread(resume)
        assert pipeline.generations.live() == 2
        stored = pipeline.stored(answers[1].order_id)
        assert stored is not None
        assert b'"PENDING"' in stored.body


@pytest.mark.parametrize("stage", ["building", "catching up", "handing over", "checking"])
async def test_a_rebuild_that_ends_in_any_stage_is_gone_on_with(
    pipeline: Pipeline, stage: str
) -> None:
    class EndedError(Exception):
        pass

    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 24)

        def tell(name: str, done: int, _: int) -> None:
            if name == stage and (done or name != "building"):
                raise EndedError

        def end() -> None:
            with rebuilding(pipeline, tell) as one:
                one.run(resume=False, accept=False)

        def resume() -> None:
            with rebuilding(pipeline) as one:
                one.run(resume=True, accept=False)

        with pytest.raises(EndedError):
            await asyncio.to_thread(end)
        assert pipeline.generations.live() == 1
        pipeline.assert_views_equal_folds()
        with pytest.raises(RefusedError):
            await run(pipeline)
        await place_some(pipeline, 6, begin=24)
        await asyncio.to_thread(resume)
        assert pipeline.generations.live() == 2
        pipeline.assert_views_equal_folds()


async def test_what_another_projection_began_is_not_gone_on_with(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be held beside what that projection made, and found to be the same."""

    class EndedError(Exception):
        pass

    def end(*_: object) -> None:
        raise EndedError

    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 5)
        with monkeypatch.context() as ending:
            ending.setattr(lifecycle, "flip", end)
            with pytest.raises(EndedError):
                await run(pipeline)
        monkeypatch.setattr(lifecycle, "PROJECTION_VERSION", PROJECTION_VERSION + 1)

        def resume() -> None:
            with rebuilding(pipeline) as one:
                one.run(resume=True, accept=True)

        with pytest.raises(RefusedError, match="--abort"):
            await asyncio.to_thread(resume)
        assert pipeline.generations.live() == 1


async def test_what_redis_lost_of_a_range_that_was_done_is_built_again(
    pipeline: Pipeline,
) -> None:
    lost: list[bytes] = []

    def tell(name: str, done: int, _: int) -> None:
        if name == "building" and done and not lost:
            # As a restart that loses the last second does: documents and checkpoint of a shard.
            shard = shard_keys.generation_prefix(3, 2)
            lost.extend(key for key in pipeline.generations.keys(2) if shard.encode() in key)
            pipeline.redis.delete(*lost)

    def rebuild() -> None:
        with rebuilding(pipeline, tell) as one:
            one.run(resume=False, accept=False)

    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 30)
        await asyncio.to_thread(rebuild)
    assert lost
    assert pipeline.generations.live() == 2
    assert pipeline.assert_views_equal_folds() == 30


async def test_what_redis_lost_of_a_range_that_is_under_way_is_built_again(
    pipeline: Pipeline,
) -> None:
    class Losing(Pace):
        lost = 0

        def took(self, events: int) -> None:
            super().took(events)
            keys = pipeline.redis.keys("{order-*}:g2:*")
            if not self.lost and len(keys) > 20:
                self.lost = pipeline.redis.delete(*keys)

    def build() -> None:
        parts = open_parts(pipeline)
        [everything] = ranges([])
        losing = Losing(Stop(), None)
        fill(parts, 2, everything, losing)
        assert losing.lost

    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 20)
    await asyncio.to_thread(build)
    assert len(pipeline.redis.keys("{order-*}:g2:document:*")) == 20


async def test_a_redis_wiped_meanwhile_is_never_flipped_in(
    pipeline: Pipeline,
) -> None:
    def tell(name: str, *_: int) -> None:
        if name == "checking":
            pipeline.redis.flushall()

    def rebuild() -> None:
        with rebuilding(pipeline, tell) as one:
            one.run(resume=False, accept=True)

    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 12)
        with pytest.raises((LedgerMovedError, WrongError)):
            await asyncio.to_thread(rebuild)
        assert pipeline.generations.live() == 1
        last = await pipeline.cancel(answers[1].order_id)
        await asyncio.to_thread(pipeline.await_complete, last.position)
        assert pipeline.assert_views_equal_folds() == 12


async def test_of_two_rebuilds_the_second_is_refused(pipeline: Pipeline) -> None:
    first = OrderLog(open_parts(pipeline).connect)
    first.lock()
    with pytest.raises(RebuildRunsError):
        await run(pipeline)
    first.close()
    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 3)
        await run(pipeline)


def test_who_keeps_rebuilds_out_does_so_beside_others(pipeline: Pipeline) -> None:
    one, other, rebuild = (OrderLog(open_parts(pipeline).connect) for _ in range(3))
    assert one.keep_rebuilds_out()
    assert other.keep_rebuilds_out()
    one.close()
    with pytest.raises(RebuildRunsError):
        rebuild.lock()
    other.close()
    rebuild.lock()
    late = OrderLog(open_parts(pipeline).connect)
    assert not late.keep_rebuilds_out()
    for log in (rebuild, late):
        log.close()


async def test_a_parked_order_is_parked_in_the_next_generation_too(pipeline: Pipeline) -> None:
    bad = await pipeline.place(0)
    await pipeline.cancel(bad.order_id)
    with poisoned(pipeline, bad.order_id), pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 6, begin=1)
        await run(pipeline)

        shard = pipeline.generations.shards[shard_keys.partition_of(bad.order_id, 6)]
        assert shard.parked(2).keys() == {bad.order_id}
        stored = shard.read(2, [bad.order_id])[bad.order_id]
        assert stored is not None
        assert stored.header.parked


async def test_a_fold_that_a_reader_leaves_is_in_every_fed_generation(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 3)
        await run(pipeline)
    placed = await pipeline.place(9)
    async with redis.asyncio.from_url(pipeline.redis_url, protocol=3) as client:
        views = make_views(pipeline, client)
        view = await views.find(placed.order_id, owner=None, min_position=0, wait_s=0)
    shard = pipeline.generations.shards[shard_keys.partition_of(placed.order_id, 6)]
    left = [shard.read(generation, [placed.order_id])[placed.order_id] for generation in (1, 2)]
    assert view is not None
    assert [one.body for one in left if one is not None] == [view.body, view.body]


async def test_a_reader_follows_the_pointer_with_its_next_answer(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 4)
        order_id = answers[1].order_id
        async with redis.asyncio.from_url(pipeline.redis_url, protocol=3) as client:
            views = make_views(pipeline, client)
            await _status(views, order_id, "pending")
            await run(pipeline)
            _break_document(pipeline, order_id)
            await _status(views, order_id, "shipped")
            page = await views.list(OrderQuery(CustomerId("c-1"), None, None, 10, None))
            assert b'"shipped"' in page.bodies[0]
            lifecycle.roll_back(pipeline.generations)
            page = await views.list(OrderQuery(CustomerId("c-1"), None, None, 10, None))
            assert b'"pending"' in page.bodies[0]
            await _status(views, order_id, "pending")


async def _status(views: RedisOrderViews, order_id: OrderId, status: str) -> None:
    view = await views.find(order_id, owner=None, min_position=0, wait_s=0)
    assert view is not None
    assert view.source == "redis"
    assert f'"status":"{status}"'.encode() in view.body


async def test_a_shard_that_was_wiped_alone_is_fed_the_generation_that_is_read(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 20)
        await run(pipeline)
        pipeline.redis.delete(
            *pipeline.redis.keys("{order-3}:*")
        )  # as a node of a cluster would be
        last = await pipeline.place(50)
        await asyncio.to_thread(pipeline.await_complete, last.position)
        assert pipeline.assert_views_equal_folds() == 21


async def test_verifying_names_what_is_wrong_and_changes_nothing(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 9)
        await run(pipeline)

        def verify() -> list[str]:
            with rebuilding(pipeline) as one:
                return [str(found) for found in one.verify().wrong.named]

        assert await asyncio.to_thread(verify) == []
        _break_document(pipeline, answers[1].order_id)
        [found] = await asyncio.to_thread(verify)
        assert found == f"{answers[1].order_id}: differs in $.status"
        [again] = await asyncio.to_thread(verify)
        assert again == found


async def test_a_damaged_live_document_is_named_and_stops_no_rebuild(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        answers = await place_some(pipeline, 6)
        damaged = answers[1].order_id
        pipeline.redis.set(shard_keys.document_key(damaged, 6, 1), b"garbage")
        with rebuilding(pipeline) as one:
            checked = await asyncio.to_thread(one.verify)
        # Its entries in lists are named beside it: no document explains them.
        assert {found.order_id for found in checked.wrong.named} == {damaged, None}
        with pytest.raises(ChangedError) as changed:
            await run(pipeline)
        assert [found.order_id for found in changed.value.found.named] == [damaged]

        def go_on() -> None:
            with rebuilding(pipeline) as one:
                one.run(resume=True, accept=True)

        await asyncio.to_thread(go_on)
        assert pipeline.generations.live() == 2
        assert pipeline.assert_views_equal_folds() == 6
