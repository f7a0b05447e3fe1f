"""Several shards in one round trip: what a batch needs of each is read, then each is written.

Rule: a shard's outcome is its own. Its script is as atomic as alone, and what one shard refuses
the others have taken all the same. On a Redis Cluster, whose nodes have a connection
each, it is one shard after another.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import redis
from redis.cluster import RedisCluster
from redis.exceptions import NoScriptError

from domain.ids import OrderId
from infrastructure.redis.shard import DocumentMovedError, ShardMovedError, ShardWriter, Step
from infrastructure.redis.stored_document import StoredDocument

Outcome: TypeAlias = ShardMovedError | DocumentMovedError | None
"""None: it is written. Otherwise nothing of it is, and why."""
Read: TypeAlias = Mapping[OrderId, StoredDocument | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Documents to read of one generation of a shard."""

    writer: ShardWriter
    generation: int
    order_ids: Sequence[OrderId]


@dataclass(frozen=True, slots=True)
class Write:
    """What `ShardWriter.apply` is called with."""

    writer: ShardWriter
    steps: Sequence[Step]
    position: int


class Together:
    """Shards of one Redis."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._one_by_one = isinstance(client, RedisCluster)

    def read(self, wanted: Sequence[Wanted]) -> Sequence[Read]:
        """Read documents; give those of each shard and generation in their order."""
        if self._one_by_one:
            return [one.writer.read(one.generation, one.order_ids) for one in wanted]
        keys = [key for one in wanted for key in one.writer.keys(one.generation, one.order_ids)]
        values: Any = iter(self._client.mget(keys) if keys else [])
        return [one.writer.documents(one.order_ids, values) for one in wanted]

    def apply(self, writes: Iterable[Write]) -> Sequence[Outcome]:
        """Write to each shard, or nothing to it. Raises redis.RedisError: ask for its progress.

        Each is sent as soon as `writes` gives it: Redis writes one while the next is made.
        """
        if self._one_by_one:
            return [_apply(one) for one in writes]
        sent: list[Write] = []
        with self._connection() as connection:
            for one in writes:
                command = one.writer.apply_command(one.steps, position=one.position)
                connection.send_packed_command(connection.pack_command(*command))
                sent.append(one)
            answers = [_answer(connection) for _ in sent]
        return [_outcome(*pair) for pair in zip(sent, answers, strict=True)]

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """Lend a connection; one with answers that nobody has read is never used again."""
        pool: Any = self._client.connection_pool
        connection = pool.get_connection()
        try:
            yield connection
        except BaseException:
            connection.disconnect()
            raise
        finally:
            pool.release(connection)


def _answer(connection: Any) -> Any:
    """Read one answer; what Redis refuses is an answer as well, and others follow it."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def _outcome(write: Write, answer: Any) -> Outcome:
    if isinstance(answer, NoScriptError):  # a Redis that was started anew: this loads the script
        return _apply(write)
    if isinstance(answer, Exception):
        raise answer
    try:
        write.writer.require_applied(answer)
    except (ShardMovedError, DocumentMovedError) as error:
        return error
    return None


def _apply(write: Write) -> Outcome:
    try:
        write.writer.apply(write.steps, position=write.position)
    except (ShardMovedError, DocumentMovedError) as error:
        return error
    return None
