"""Where somebody has written over what is known of the generations, a person is told what to do."""

import asyncio
from itertools import product

import pytest
import typer

from api.cli.rebuilding import rebuild
from infrastructure.rebuild import lifecycle
from infrastructure.rebuild.catch_up import hand_over
from infrastructure.rebuild.lifecycle import RefusedError
from infrastructure.rebuild.log import opened
from infrastructure.redis import shard_keys
from infrastructure.redis.generations import LedgerMovedError, LedgerUnreadableError
from tests.integration.pipeline.conftest import Pipeline
from tests.integration.rebuild.conftest import open_parts, rebuilding
from tests.integration.rebuild.test_rebuild import place_some, run

NO_LEDGERS = [
    "abc",
    "",
    b"\xff\xfe",
    "[]",
    '{"highest":"x"}',
    '{"next":{"generation":2}}',
    '{"versions":{"a":1}}',
    None,
]
"""None: a hash."""
MODES = ["resume", "rollback", "drop_previous", "abort", "dry_run"]


def spoil(pipeline: Pipeline, value: str | bytes | None) -> None:
    pipeline.redis.delete(shard_keys.GENERATIONS)
    if value is None:
        pipeline.redis.hset(shard_keys.GENERATIONS, "a", "b")
    else:
        pipeline.redis.set(shard_keys.GENERATIONS, value)


async def test_the_commands_end_with_a_plain_message_and_change_nothing(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.give_to(monkeypatch)
    with pipeline.relay(), pipeline.projector():
        [placed] = await place_some(pipeline, 1)
    asked: list[dict[str, bool]] = [{}, *({mode: True} for mode in MODES)]
    for value, options in product(NO_LEDGERS, asked):
        spoil(pipeline, value)
        before = pipeline.redis.dump(shard_keys.GENERATIONS)
        with pytest.raises(typer.Exit) as ended:
            await asyncio.to_thread(rebuild, **options)  # type: ignore[arg-type]
        told = capsys.readouterr().err
        assert ended.value.exit_code == 1
        assert told.startswith("order:generations holds ")
        assert "`DEL order:generations`" in told
        assert "goes on with it" not in told
        assert pipeline.redis.dump(shard_keys.GENERATIONS) == before
    rebuild(order=str(placed.order_id))  # which doesn't ask for it
    assert pipeline.generations.fed() == {1}


async def test_without_it_the_next_rebuild_drops_what_an_unfinished_one_has_left(
    pipeline: Pipeline,
) -> None:
    class StoppedError(Exception):
        pass

    def stop(doing: str, *_: int) -> None:
        if doing == "checking":
            raise StoppedError

    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 12)
        await run(pipeline)
        with rebuilding(pipeline, stop) as one, pytest.raises(StoppedError):
            await asyncio.to_thread(one.run, resume=False, accept=False)
        assert pipeline.generations.fed() == {2, 3}
        spoil(pipeline, "abc")
        with pytest.raises(LedgerUnreadableError):
            await run(pipeline)
        pipeline.redis.delete(shard_keys.GENERATIONS)
        await run(pipeline)
        assert pipeline.generations.live() == 3
        assert pipeline.generations.fed() == {2, 3}
        assert pipeline.assert_views_equal_folds() == 12


async def test_what_no_ledger_knows_is_neither_fed_nor_gone_back_to(pipeline: Pipeline) -> None:
    """As where Redis was wiped while it was built: of what was there before, it has nothing."""
    with pipeline.relay(), pipeline.projector():
        await place_some(pipeline, 3)
        with opened(open_parts(pipeline).connect) as log, pytest.raises(LedgerMovedError):
            await asyncio.to_thread(hand_over, pipeline.generations, log, 5, lambda *_: None)
        assert pipeline.generations.fed() == {1}
        for shard in pipeline.generations.shards:
            shard.join(5)
        with pytest.raises(RefusedError, match="ever checked"):
            lifecycle.roll_back(pipeline.generations)
