"""The reading side: documents as bytes, lists, and the event store behind both.

Rules: a single read never fails for want of Redis while the event store answers, and never shows
an order as it was before an earlier answer. So a fold is written back; and after Redis was out of
reach, single reads come from the store until the views have caught up with what the log held when
Redis came back.
"""

import asyncio
import time
from typing import Any

import redis.asyncio
import structlog
from redis.exceptions import RedisClusterException, RedisError

from domain.errors import DomainError, UnavailableError
from domain.ids import CustomerId, OrderId
from infrastructure.event_store.bounded_reads import BoundedReads
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.gathered import Gathered
from infrastructure.redis import script_arguments, shard_keys, stored_document
from infrastructure.redis.live_reads import LiveReads
from infrastructure.redis.order_lists import OrderLists
from infrastructure.redis.shard import LEAVE_PROGRESS, script
from infrastructure.redis.stored_document import ShownDocument, StoredDocument
from projections.order.document import OrderDocument
from projections.ports import (
    OrderPage,
    OrderQuery,
    OrderView,
    TooManyFoldsError,
    ViewsUnavailableError,
)

POLL_S = 0.01
WRITE_ATTEMPTS = 20
ASK_STORE_EVERY_S = 1.0
ASK_REDIS_EVERY_S = 0.5
ANSWERS_WITHIN_S = 0.25
"""How long a lost Redis is waited for: a server that hangs must not make readers wait in a row."""
_REDIS_DOWN = (RedisError, RedisClusterException, OSError, TimeoutError)
_log = structlog.get_logger(__name__)


class RedisOrderViews:
    """Implements `projections.ports.OrderViews`."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        reader: OrderReader,
        *,
        partitions: int,
        folds_at_once: int,
        folds_waiting: int,
    ) -> None:
        self._client = client
        self._reader = reader
        self._partitions = partitions
        self._reads = BoundedReads("fold", at_once=folds_at_once, waiting=folds_waiting)
        self._apply = client.register_script(script("apply"))
        self._live = LiveReads(client, partitions)
        self._lists = OrderLists(client, self._live)
        self._gets = Gathered(self._live.get_documents)
        self._fed: dict[int, tuple[int, ...]] = {}
        # A new process can't know what others have answered: it begins as after an outage.
        self._lost = True
        self._catch_up_to: int | None = None
        self._regaining = asyncio.Lock()
        self._ask_store_at = 0.0
        self._ask_redis_at = 0.0

    async def find(
        self, order_id: OrderId, *, owner: CustomerId | None, min_position: int, wait_s: float
    ) -> OrderView | None:
        deadline = time.monotonic() + wait_s
        while True:
            stored = await self._trusted(order_id)
            if stored is not None and _is_shown(stored, owner, min_position):
                return OrderView(stored.body, stored.position, stored.owner, "redis")
            if self._lost or time.monotonic() >= deadline:
                break
            await asyncio.sleep(POLL_S)
        document = await self._fold(order_id, min_position)
        if document is None or owner not in (None, document.customer_id):
            return None
        await self._write_back(document)
        return OrderView(
            stored_document.body_bytes(document),
            document.position,
            document.customer_id,
            "event-store",
        )

    async def list(self, query: OrderQuery) -> OrderPage:
        try:
            return await self._lists.page(query)
        except _REDIS_DOWN as error:
            self._lost = True
            raise ViewsUnavailableError(str(error)) from error

    async def _trusted(self, order_id: OrderId) -> ShownDocument | None:
        """Read a document, unless Redis is out of reach or has yet to catch up."""
        try:
            if self._lost:
                await self._regain()
            if self._catch_up_to is not None and not await self._caught_up():
                return None
            value = await self._gets.get(order_id)
        except _REDIS_DOWN as error:
            if not self._lost:
                _log.warning("redis_lost", reason=type(error).__name__)
            self._lost = True
            return None
        return None if value is None else stored_document.decode_shown(value)

    async def _caught_up(self) -> bool:
        awaited = self._catch_up_to
        if awaited is None:
            return True
        if await self._live.as_of_position() < awaited:
            return False
        if self._catch_up_to == awaited:
            self._catch_up_to = None
            _log.info("redis_trusted", position=awaited)
        return True

    async def _regain(self) -> None:
        """Find out, one caller for all, how far the views must come to be believed again."""
        loop = asyncio.get_running_loop()
        async with self._regaining:
            if not self._lost:
                return
            await self._ping(loop)
            if loop.time() < self._ask_store_at:
                return
            try:
                self._catch_up_to = await self._reads.run(self._reader.head)
            except (UnavailableError, TooManyFoldsError):
                # With the event store away too, what Redis has is the newest that can be had.
                self._ask_store_at = loop.time() + ASK_STORE_EVERY_S
                return
            self._lost = False
            _log.info("redis_regained", catch_up_to=self._catch_up_to)

    async def _ping(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop.time() < self._ask_redis_at:
            raise TimeoutError("somebody has just waited for Redis in vain")
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await self._client.ping()
        except _REDIS_DOWN:
            self._ask_redis_at = loop.time() + ASK_REDIS_EVERY_S
            raise

    async def _fold(self, order_id: OrderId, min_position: int) -> OrderDocument | None:
        def fold() -> OrderDocument | None:
            document = self._reader.fold(order_id)
            come_to = 0 if document is None else document.position
            if come_to < min_position and min_position > self._reader.head():
                raise DomainError("not_recorded_yet", "the log has not come as far as min_position")
            return document

        return await self._reads.run(fold)

    async def _write_back(self, document: OrderDocument) -> None:
        """Leave a fold in Redis, unless what is there is as new: nobody may see an older one."""
        if self._lost:
            return
        try:
            for _ in range(WRITE_ATTEMPTS):
                if await self._written_back(document):
                    break  # else the projector was faster; each time it is, what it left is newer
        except _REDIS_DOWN as error:
            _log.warning("redis_lost", reason=type(error).__name__)
            self._lost = True

    async def _written_back(self, document: OrderDocument) -> bool:
        """Try to leave a fold in every fed generation; False: look again, something has changed."""
        partition = shard_keys.partition_of(document.order_id, self._partitions)
        fed = self._fed.get(partition) or (self._live.generation,)
        values = await self._live.fetch(
            [shard_keys.document_key(document.order_id, self._partitions, one) for one in fed]
        )
        changes: list[str | bytes] = []
        behind = 0
        for generation, value in zip(fed, values, strict=True):
            old = None if value is None else stored_document.decode(value)
            if old is None or _worth(old) < (document.position, True, True):
                changes += script_arguments.encode_change(generation, old, document)
                behind += 1
        # Also with nothing to write: only the script knows whether these are all that are fed.
        steps = [text for one in fed for text in (str(one), LEAVE_PROGRESS, "")]
        outcome: Any = await self._apply(
            keys=script_arguments.apply_keys(partition),
            args=[shard_keys.encode_fed(fed), "0", str(len(fed)), *steps, str(behind), *changes],
        )
        if outcome[0] == b"fed":
            self._fed[partition] = shard_keys.decode_fed(bytes(outcome[1]))
        return bool(outcome[0] == b"applied")


def _is_shown(stored: ShownDocument, owner: CustomerId | None, min_position: int) -> bool:
    """See that a document may be given; another's is looked for as long as one that is not there.

    So nobody can tell the two apart by how long the answer takes.
    """
    is_new = stored.position >= min_position and not stored.parked
    return is_new and owner in (None, stored.owner)


def _worth(old: StoredDocument) -> tuple[int, bool, bool]:
    """Rank a document by its position; at the same one, what is parked or damaged is less."""
    return old.position, not old.header.parked, stored_document.is_whole(old.body)
