"""Lists of orders, newest first, merged from all shards.

Rule: a page is of one generation, and shows only what is still as the list said.
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import redis.asyncio

from domain.errors import DomainError
from domain.ids import OrderId
from infrastructure.redis import layout
from infrastructure.redis.layout import StoredDocument
from infrastructure.redis.live_reads import LiveReads
from projections.order.lists import list_name
from projections.ports import OrderPage, OrderQuery


class OrderLists:
    """Reads pages of lists. Raises RedisError."""

    def __init__(self, client: "redis.asyncio.Redis", reads: LiveReads) -> None:
        self._client = client
        self._reads = reads

    async def page(self, query: OrderQuery) -> OrderPage:
        """Give one page. Raises DomainError: `bad_cursor`."""
        name = list_name(
            customer_id=query.customer_id,
            status=query.status,
            external_reference=query.external_reference,
        )
        while True:
            as_of = await self._reads.as_of_position()
            generation = self._reads.generation
            try:
                return await self._page_in(generation, name, query, as_of)
            except _GenerationMovedError:
                continue  # a flip is a rare thing: this ends

    async def _page_in(
        self, generation: int, name: str, query: OrderQuery, as_of: int
    ) -> OrderPage:
        after = query.after
        found: list[StoredDocument] = []
        # One more than asked for tells whether there is a next page.
        while len(found) <= query.limit:
            wanted = query.limit + 1 - len(found)
            keys = await self._page_of_keys(generation, name, after, wanted)
            values = await self._gather_documents(generation, map(_order_id, keys))
            found += [one for one in map(layout.decode, values) if _matches(one, query)]
            if len(keys) < wanted:
                break
            after = keys[-1]
        page = found[: query.limit]
        return OrderPage(
            bodies=[one.body for one in page],
            next_after=page[-1].header.sort_key if len(found) > query.limit else None,
            as_of_position=as_of,
        )

    async def _page_of_keys(
        self, generation: int, name: str, after: str | None, limit: int
    ) -> Sequence[str]:
        """Merge the newest entries below `after` of every shard's list, newest first."""
        top = "+" if after is None else f"({after}"
        async with self._client.pipeline(transaction=False) as pipeline:
            for partition in range(self._reads.partitions):
                pipeline.zrevrangebylex(
                    layout.list_key(partition, generation, name), top, "-", start=0, num=limit
                )
            shards: Any = await pipeline.execute()
        merged = heapq.merge(*([bytes(key) for key in shard] for shard in shards), reverse=True)
        return [key.decode() for key, _ in zip(merged, range(limit), strict=False)]

    async def _gather_documents(
        self, generation: int, order_ids: Iterable[OrderId]
    ) -> Sequence[bytes]:
        """Fetch what a list named, as long as that list's generation is the one that is read."""
        values = await self._reads.get_documents(list(order_ids))
        if self._reads.generation != generation:
            raise _GenerationMovedError
        return [value for value in values if value is not None]


class _GenerationMovedError(Exception):
    """Another generation is read by now."""


def _order_id(sort_key: str) -> OrderId:
    try:
        return OrderId(UUID(sort_key.rpartition(".")[2]))
    except ValueError as error:
        raise DomainError("bad_cursor", "not a cursor of this list") from error


def _matches(stored: StoredDocument, query: OrderQuery) -> bool:
    """See that a document is still what the list said, and what a wider list let through."""
    lists = stored.header.lists
    narrow = list_name(customer_id=query.customer_id, status=query.status)
    reference = query.external_reference
    listed = reference is None or list_name(external_reference=reference) in lists
    return listed and narrow in lists
