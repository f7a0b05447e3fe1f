"""A range of the log comes as whole orders, and is folded once, whatever it is cut into."""

import asyncio
from collections.abc import Sequence

import pytest

from domain.ids import OrderId
from infrastructure.event_store.mapper import LogEntry
from infrastructure.rebuild.folds import stretches
from infrastructure.rebuild.log import opened, ranges
from tests.integration.pipeline.conftest import Pipeline
from tests.integration.rebuild.conftest import open_parts


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
async def test_an_order_is_read_whole_however_few_rows_come_at_a_time(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr("infrastructure.rebuild.log.ROWS_AT_A_TIME", rows)
    placed = [await pipeline.place(number) for number in range(3)]
    for one in placed[:2]:
        await pipeline.cancel(one.order_id, pieces=1)
    await pipeline.cancel(placed[0].order_id)
    parts = open_parts(pipeline)

    def read() -> Sequence[Sequence[LogEntry]]:
        with opened(parts.connect) as log:
            return list(log.orders(ranges([])[0]))

    found: dict[OrderId | None, list[list[int]]] = {one.order_id: [] for one in placed}
    for entries in await asyncio.to_thread(read):
        for order_id in {entry.order_id for entry in entries}:
            found[order_id].append([e.version for e in entries if e.order_id == order_id])
    assert list(found.values()) == [[[1, 2, 3]], [[1, 2]], [[1]]]


async def test_a_shard_is_given_only_what_comes_after_the_order_that_it_has_reached(
    pipeline: Pipeline,
) -> None:
    placed = {str((await pipeline.place(number)).order_id) for number in range(12)}
    parts = open_parts(pipeline)

    def folded(done: dict[int, str]) -> dict[int, set[str]]:
        given: dict[int, set[str]] = {}
        with opened(parts.connect) as log:
            for stretch in stretches(parts, log, ranges([])[0], done=done):
                for shard, arguments in stretch.by_shard.items():
                    given.setdefault(shard, set()).update(placed & set(map(str, arguments)))
        return given

    everything = await asyncio.to_thread(folded, {})
    assert set().union(*everything.values()) == placed
    shard, orders = max(everything.items(), key=lambda item: len(item[1]))
    reached = sorted(orders)[len(orders) // 2]
    rest = await asyncio.to_thread(
        folded, dict.fromkeys(range(parts.partitions), "") | {shard: reached}
    )
    assert rest.get(shard, set()) == {one for one in orders if one > reached}
    assert rest | {shard: orders} == everything
