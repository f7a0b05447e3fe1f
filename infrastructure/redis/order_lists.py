"""Lists of orders, newest first, merged from all shards.

Rules: a page is of one generation, and shows only what is still as the list said; an order that is
known to be out of date is marked, and one whose document is damaged is left out; and whatever is
asked for, a bounded number of documents is looked at, in few round trips.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import redis.asyncio

from domain.ids import OrderId
from infrastructure.redis import shard_keys, stored_document
from infrastructure.redis.live_reads import LiveReads
from infrastructure.redis.stored_document import StoredDocument
from projections.order.lists import matches, narrowest, sort_bound
from projections.ports import OrderPage, OrderQuery

OUT_OF_DATE = b'{"is_out_of_date":true,'
"""How the body of an order begins of which a later event can't be applied."""
MOST_LOOKED_AT = 2_000
"""Orders for one page: where few of many match, a page is short and says where to go on."""
LOOKED_AT_A_TIME = 100
"""At least, once the first trip was not enough: by the few that a page may hold, it takes long."""


class OrderLists:
    """Reads pages of lists. Raises RedisError."""

    def __init__(self, client: "redis.asyncio.Redis", reads: LiveReads) -> None:
        self._client = client
        self._reads = reads

    async def page(self, query: OrderQuery) -> OrderPage:
        """Give one page. Entries that are no sort keys are passed over."""
        while True:
            as_of = await self._reads.as_of_position()
            generation = self._reads.generation
            try:
                return await self._page_in(generation, query, as_of)
            except _GenerationMovedError:
                continue  # a flip is a rare thing: this ends

    async def _page_in(self, generation: int, query: OrderQuery, as_of: int) -> OrderPage:
        # One more than asked for tells whether there is a next page.
        name, wanted = narrowest(query), query.limit + 1
        top, bottom = _range(query)
        looked_at, is_over = 0, False
        after = query.after
        found: list[tuple[bytes, StoredDocument]] = []
        while len(found) < wanted and looked_at < MOST_LOOKED_AT and not is_over:
            at_once = max(wanted, LOOKED_AT_A_TIME) if looked_at else wanted
            at_once = min(at_once, MOST_LOOKED_AT - looked_at)
            keys = await self._page_of_keys(generation, name, (top, bottom), at_once)
            named = {one: order for one in keys if (order := _order_id(one)) is not None}
            documents = await self._gather_documents(generation, named)
            found += [one for one in documents if matches(one[1].header.lists, query)]
            looked_at += len(keys)
            is_over = len(keys) < at_once
            if not is_over:
                top = b"(" + keys[-1]
                after = next((one.decode() for one in reversed(keys) if one in named), after)
        page = found[: query.limit]
        if len(found) > query.limit:
            after = page[-1][0].decode()
        return OrderPage(
            bodies=[_body(stored) for _, stored in page],
            next_after=None if is_over and len(found) <= query.limit else after,
            as_of_position=as_of,
        )

    async def _page_of_keys(
        self, generation: int, name: str, between: tuple[bytes, bytes], limit: int
    ) -> Sequence[bytes]:
        """Merge the newest entries of a range of every shard's list, newest first."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for partition in range(self._reads.partitions):
                pipeline.zrevrangebylex(
                    shard_keys.list_key(partition, generation, name), *between, start=0, num=limit
                )
            shards: Any = await pipeline.execute()
        merged = heapq.merge(*([bytes(key) for key in shard] for shard in shards), reverse=True)
        return list(islice(merged, limit))

    async def _gather_documents(
        self, generation: int, named: Mapping[bytes, OrderId]
    ) -> Iterator[tuple[bytes, StoredDocument]]:
        """Fetch what a list named, as long as that list's generation is the one that is read.

        Each comes with its entry, which says where to go on: a header may say anything.
        """
        values = await self._reads.get_documents(list(named.values()))
        if self._reads.generation != generation:
            raise _GenerationMovedError
        pairs = zip(named, values, strict=True)
        stored = (
            (entry, stored_document.decode(value)) for entry, value in pairs if value is not None
        )
        # One body that no code of ours wrote would spoil a whole page.
        return ((entry, one) for entry, one in stored if stored_document.is_whole(one.body))


class _GenerationMovedError(Exception):
    """Another generation is read by now."""


def _body(stored: StoredDocument) -> bytes:
    return OUT_OF_DATE + stored.body[1:] if stored.header.parked else stored.body


def _order_id(sort_key: bytes) -> OrderId | None:
    """Read whose entry it is; None: it is no sort key, whoever put it there."""
    try:
        return OrderId(UUID(sort_key.decode().rpartition(".")[2]))
    except ValueError:
        return None


def _range(query: OrderQuery) -> tuple[bytes, bytes]:
    """Give the top and the bottom of what to look at, as ZREVRANGEBYLEX takes them."""
    top, bottom = "+", "-"
    if query.after is not None:
        top = f"({query.after}"
    elif query.created_to is not None:
        top = f"({sort_bound(query.created_to)}"
    if query.created_from is not None:
        bottom = f"[{sort_bound(query.created_from)}"
    return top.encode(), bottom.encode()
