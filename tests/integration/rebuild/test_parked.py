"""A parked order is the same in every generation: its last good document, marked."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from domain.ids import OrderId
from domain.payment.events import PaymentAuthorized
from infrastructure.rebuild import check, lifecycle
from infrastructure.rebuild.log import opened
from infrastructure.redis import shard_keys
from infrastructure.redis.refold import Refolded
from infrastructure.redis.stored_document import StoredDocument
from projections.order import payment
from tests.integration.pipeline.conftest import Pipeline
from tests.integration.pipeline.test_dead_letters import authorize, dead_letters, poisoned
from tests.integration.pipeline.test_forgetting import delete_key, finish, place
from tests.integration.rebuild.conftest import open_parts, rebuilding
from tests.integration.rebuild.test_ghosts import fold_anew, verify
from tests.integration.rebuild.test_rebuild import place_some, run


@contextmanager
def unable_to_show_payments() -> Iterator[None]:
    """Let no version of the projection show an authorization: it parks its order."""
    real = payment.change

    def unable(body: Any, event: Any, recorded: Any) -> None:
        if isinstance(event, PaymentAuthorized):
            raise KeyError(event)
        real(body, event, recorded)

    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(payment, "change", unable)
        yield


def stored(pipeline: Pipeline, order_id: OrderId, generation: int) -> StoredDocument:
    shard = pipeline.generations.shards[shard_keys.partition_of(order_id, 6)]
    found = shard.read(generation, [order_id])[order_id]
    assert found is not None
    return found


async def test_an_order_that_is_parked_while_a_rebuild_runs_is_the_same_in_both_generations(
    pipeline: Pipeline,
) -> None:
    def build() -> None:
        with rebuilding(pipeline) as one, opened(open_parts(pipeline).connect) as log:
            one.build(lifecycle.begin(pipeline.generations, log))

    def resume() -> None:
        with rebuilding(pipeline) as one:
            one.run(resume=True, accept=False)

    with unable_to_show_payments(), pipeline.relay(), pipeline.projector():
        built, *_ = [one.order_id for one in await place_some(pipeline, 6, begin=1)][1:]
        await asyncio.to_thread(build)
        moved = await pipeline.cancel(built, pieces=1)
        new = (await pipeline.place(0)).order_id
        await asyncio.to_thread(pipeline.await_complete, moved.position)
        last = [await authorize(pipeline, order_id) for order_id in (built, new)][-1]
        await asyncio.to_thread(pipeline.await_complete, last.position)
        await asyncio.to_thread(resume)

        assert pipeline.generations.live() == 2
        for order_id in (built, new):
            assert stored(pipeline, order_id, 2).header.parked
            assert stored(pipeline, order_id, 2) == stored(pipeline, order_id, 1)
        assert {letter.order_id for letter in dead_letters(pipeline).all()} == {built, new}
        assert await asyncio.to_thread(verify, pipeline) == []


async def test_an_order_that_is_parked_in_an_empty_redis_is_as_a_rebuild_has_it(
    pipeline: Pipeline,
) -> None:
    with unable_to_show_payments():
        bad = (await pipeline.place(0)).order_id
        last = await authorize(pipeline, bad)
        with pipeline.relay(), pipeline.projector():
            await asyncio.to_thread(pipeline.await_complete, last.position)
            await run(pipeline)
            assert stored(pipeline, bad, 1).header.parked
            assert stored(pipeline, bad, 2) == stored(pipeline, bad, 1)


async def test_a_parked_order_that_is_gone_or_altered_is_named_and_mended(
    pipeline: Pipeline,
) -> None:
    with unable_to_show_payments(), pipeline.relay(), pipeline.projector():
        bad = (await pipeline.place(0)).order_id
        last = await authorize(pipeline, bad)
        await asyncio.to_thread(pipeline.await_complete, last.position)
        assert await asyncio.to_thread(verify, pipeline) == []
        key = shard_keys.document_key(bad, 6, 1)
        value: Any = pipeline.redis.get(key)

        pipeline.redis.set(key, value.replace(b'"total_minor":510', b'"total_minor":999'))
        [found] = await asyncio.to_thread(verify, pipeline)
        assert found.startswith(f"{bad}: differs in $.")

        assert fold_anew(pipeline, bad) is Refolded.PARKED
        assert pipeline.redis.get(key) == value
        in_list = shard_keys.list_key(shard_keys.partition_of(bad, 6), 1, "all")
        pipeline.redis.zrem(in_list, stored(pipeline, bad, 1).header.sort_key)
        assert await asyncio.to_thread(verify, pipeline) == [f"{bad}: is not in each of its lists"]

        assert fold_anew(pipeline, bad) is Refolded.PARKED
        assert await asyncio.to_thread(verify, pipeline) == []
        pipeline.redis.delete(key)
        assert f"{bad}: the document is missing" in await asyncio.to_thread(verify, pipeline)
        assert fold_anew(pipeline, bad) is Refolded.PARKED
        assert pipeline.redis.get(key) == value
        assert len(list(dead_letters(pipeline).all())) == 1


async def test_a_parked_order_of_a_forgotten_customer_stops_no_rebuild(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        bad = await place(pipeline, key="k1")
        await asyncio.to_thread(pipeline.await_complete, bad.position)
    await pipeline.cancel(bad.order_id)
    with poisoned(pipeline, bad.order_id):
        with pipeline.relay(), pipeline.projector():
            await asyncio.to_thread(pipeline.await_complete, 2)
        await finish(pipeline, delete_key(pipeline))
        assert stored(pipeline, bad.order_id, 1).position > bad.position
        assert await asyncio.to_thread(verify, pipeline) == []
        with pipeline.relay(), pipeline.projector():
            await run(pipeline)


async def test_a_parked_order_whose_first_event_cannot_be_read_keeps_what_it_had(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay(), pipeline.projector():
        bad = (await pipeline.place(0)).order_id
        await asyncio.to_thread(pipeline.await_complete, 1)
    before = stored(pipeline, bad, 1)
    await pipeline.cancel(bad)
    with poisoned(pipeline, bad, version=1), poisoned(pipeline, bad):
        with pipeline.relay(), pipeline.projector():
            await asyncio.to_thread(pipeline.await_complete, 2)
        for _ in range(2):
            kept = stored(pipeline, bad, 1)
            assert kept.header.parked
            assert kept.body == before.body
            assert await asyncio.to_thread(verify, pipeline) == []
            assert fold_anew(pipeline, bad) is Refolded.PARKED


async def test_many_parked_orders_that_are_altered_are_waited_for_together(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.rebuild.log.EVENTS_A_RANGE", 1_000)
    monkeypatch.setattr("infrastructure.rebuild.log.ROWS_AT_A_TIME", 1_000)
    monkeypatch.setattr("infrastructure.rebuild.folds.EVENTS_A_STRETCH", 1_000)
    with unable_to_show_payments(), pipeline.relay(), pipeline.projector():
        orders = [(await pipeline.place(number)).order_id for number in range(12)]
        last = [await authorize(pipeline, one) for one in orders][-1]
        await asyncio.to_thread(pipeline.await_complete, last.position)
        for one in orders:
            key = shard_keys.document_key(one, 6, 1)
            value: Any = pipeline.redis.get(key)
            pipeline.redis.set(key, value.replace(b'"total_minor":510', b'"total_minor":999'))
        pauses: list[float] = []
        monkeypatch.setattr(check, "time", SimpleNamespace(sleep=pauses.append))
        assert len(await asyncio.to_thread(verify, pipeline)) == len(orders)
    shards = {shard_keys.partition_of(one, 6) for one in orders}
    assert len(pauses) == check.LOOKS * len(shards)
