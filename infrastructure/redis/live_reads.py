"""Reads of the generation that is read: every trip to Redis takes the pointer to it along.

Rule: one that was made to another generation is made again, so no reader stays with an old one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import redis.asyncio
import structlog
from redis.asyncio.cluster import RedisCluster

from domain.ids import OrderId
from infrastructure.redis import shard_keys

_log = structlog.get_logger(__name__)


class LiveReads:
    """Attributes: generation: what is taken for the one that is read until an answer says more."""

    def __init__(self, client: "redis.asyncio.Redis", partitions: int) -> None:
        self.generation = shard_keys.FIRST_GENERATION
        self.partitions = partitions
        self._client = client

    async def as_of_position(self) -> int:
        """Give the log position that every shard has reached. Raises RedisError."""
        values = await self._get_all(
            lambda generation: [
                shard_keys.position_key(partition, generation)
                for partition in range(self.partitions)
            ]
        )
        return min(map(shard_keys.decode_position, values))

    async def get_documents(self, order_ids: Sequence[OrderId]) -> Sequence[bytes | None]:
        """Get documents as they are stored, in one round trip."""
        partitions = self.partitions
        return await self._get_all(
            lambda generation: [
                shard_keys.document_key(order_id, partitions, generation) for order_id in order_ids
            ]
        )

    async def _get_all(self, keys: Callable[[int], Sequence[str]]) -> Sequence[bytes | None]:
        """Get keys of the generation that is read, which is found out in the same round trip."""
        while True:
            generation = self.generation
            *values, pointer = await self.fetch([*keys(generation), shard_keys.LIVE_GENERATION])
            live = shard_keys.decode_pointer(pointer)
            if live == generation:
                return values
            self.generation = live
            _log.info("generation_read", generation=live)

    async def fetch(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """Get keys of several shards in one round trip: on a cluster, one for each node."""
        values: Any
        if isinstance(self._client, RedisCluster):
            async with self._client.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.get(key)
                values = await pipeline.execute()
        else:
            values = await self._client.mget(keys)
        return list(values)
