"""Several shards in one round trip: what becomes of one is nothing to the others."""

from collections.abc import Iterator

import pytest

from domain.errors import UnavailableError
from infrastructure.redis.shard import ProgressMovedError, ShardWriter, Step
from infrastructure.redis.together import Together, Write

from .conftest import Pipeline


def test_what_one_shard_refuses_the_others_have_taken(
    pipeline: Pipeline,
) -> None:
    shards = [ShardWriter(pipeline.redis, partition) for partition in range(3)]
    shards[1].apply([Step(1, [], "", "another")], position=7)
    writes = [Write(one, [Step(1, [], "", "ours")], 9) for one in shards]

    outcomes = Together(pipeline.redis).apply(writes)

    assert [type(one) for one in outcomes] == [type(None), ProgressMovedError, type(None)]
    assert [one.progress()[1] for one in shards] == ["ours", "another", "ours"]
    assert [one.position(1) for one in shards] == [9, 7, 9]


def test_a_redis_that_has_lost_the_script_is_given_it_again(pipeline: Pipeline) -> None:
    shards = [ShardWriter(pipeline.redis, partition) for partition in range(3)]
    pipeline.redis.script_flush()

    outcomes = Together(pipeline.redis).apply(
        [Write(one, [Step(1, [], "", "ours")], 9) for one in shards]
    )

    assert outcomes == [None, None, None]
    assert [one.progress()[1] for one in shards] == ["ours"] * 3


def test_an_answer_that_nobody_read_is_not_taken_for_another(pipeline: Pipeline) -> None:
    shard = ShardWriter(pipeline.redis, 0)

    def broken() -> Iterator[Write]:
        yield Write(shard, [Step(1, [], "", "ours")], 9)
        raise UnavailableError("postgres", "went away between two shards")

    with pytest.raises(UnavailableError):
        Together(pipeline.redis).apply(broken())

    assert pipeline.redis.ping() is True
