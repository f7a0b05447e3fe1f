"""What the read models still show of a customer who was forgotten, and how it goes away.

The projector rewrites the documents by itself, from the events. Here they are waited for, a
while; what is left then is rewritten in place; copies where no reader looks are cleared; and in
the end every key is looked at. Rules: a document is replaced only where it is still the one that
was read, and never by an older one; what can't be looked into is taken to show everything.
"""

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import redis
from redis.cluster import RedisCluster

from domain.ids import OrderId
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.redis import shard_keys, stored_document
from infrastructure.redis.generations import Generations
from infrastructure.redis.refold import Refolded, refold
from infrastructure.redis.shard import DocumentMovedError, ShardWriter, script
from infrastructure.redis.stored_document import StoredDocument
from projections.order.document import OrderDocument, forget
from projections.order.forgetting import without_personal_data

ATTEMPTS = 5
POLL_S = 0.05
REWRITTEN_WITHIN_S = 60.0
SCANNED_AT_ONCE = 1_000
_OURS = re.compile(
    r"\{order-(?P<partition>\d+)\}:g(?P<generation>\d+):document:(?P<order>[0-9a-f-]{36})"
)


def await_position(
    generations: Generations,
    position: int,
    *,
    within_s: float,
    tell: Callable[[int], None],
) -> bool:
    """Wait until every fed generation is complete to a log position; False: it did not come to it.

    `tell` is called with the position that all have reached.
    """
    until = time.monotonic() + within_s
    while True:
        reached = min(
            shard.position(generation) for shard in generations.shards for generation in shard.fed()
        )
        tell(reached)
        if reached >= position:
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(POLL_S)


def rewrite_documents(
    client: "redis.Redis",
    generations: Generations,
    reader: OrderReader,
    orders: Collection[OrderId],
) -> int:
    """Rewrite, in every fed generation, what still shows personal data; give how many orders did.

    Raises:
        UnavailableError, redis.RedisError: running it again is safe.
    """
    rewritten = 0
    partitions = len(generations.shards)
    for order_id in orders:
        writer = generations.shards[shard_keys.partition_of(order_id, partitions)]
        keys = [shard_keys.document_key(order_id, partitions, one) for one in writer.fed()]
        showing = [key for key in keys if _shows(client, key)]
        if not showing:
            continue
        rewritten += 1
        if refold(reader, writer, order_id) is Refolded.PARKED:
            for key in filter(partial(_shows, client), showing):
                _empty(client, key)
    return rewritten


def clear_elsewhere(
    client: "redis.Redis", generations: Generations, orders: Collection[OrderId]
) -> int:
    """Take personal data out of copies where no reader looks; give how many there were.

    In generations that nobody feeds, as a killed rebuild leaves one, documents are emptied: the
    rebuild that goes on finds these orders' last events newer, and folds them anew. What lies in
    the shard of other orders is removed.

    Raises:
        DocumentMovedError: somebody builds there just now; running it again is safe.
    """
    fed = generations.fed()
    cleared = 0
    for key in list(leftovers(client, orders)):
        place = _OURS.fullmatch(key)
        if place is None:
            continue  # what it is, and whose, we can't know
        partition, generation = int(place["partition"]), int(place["generation"])
        order_id = OrderId(UUID(place["order"]))
        if partition != shard_keys.partition_of(order_id, len(generations.shards)):
            _remove(client, partition, generation, order_id)
        elif generation not in fed:
            _empty(client, key)
        else:
            continue
        cleared += 1
    return cleared


def leftovers(client: "redis.Redis", orders: Collection[OrderId]) -> Iterator[str]:
    """Look at every key of Redis; give those of these orders that may show personal data."""
    names = {str(order_id) for order_id in orders}
    for key in client.scan_iter("*document:*", count=SCANNED_AT_ONCE):
        name = bytes(key).decode("utf-8", "backslashreplace")
        if name.rpartition(":")[2] in names and _shows(client, key):
            yield name


def rewrite_files(client: "redis.Redis") -> Sequence[str]:
    """Have each Redis that keeps an append-only file write it anew, without what was there.

    Gives what could not be done, in words; such a file loses it when it is next rewritten.
    """
    problems = []
    for node in _nodes(client):
        try:
            if not _persistence(node)["aof_enabled"]:
                continue
            # One that is under way may have begun before the documents were rewritten.
            _await_rewrite(node)
            _begin_rewrite(node)
            if not _await_rewrite(node):
                problems.append("an append-only file was not rewritten in time")
        except redis.ResponseError as error:
            problems.append(f"an append-only file can't be rewritten: {error}")
    return problems


def _begin_rewrite(node: "redis.Redis") -> None:
    try:
        node.bgrewriteaof()
    except redis.ResponseError:
        # Another one began in that moment; behind it, ours can.
        _await_rewrite(node)
        node.bgrewriteaof()


def _shows(client: "redis.Redis", key: str | bytes) -> bool:
    try:
        value: Any = client.get(key)
    except redis.ResponseError:
        return True  # it is of another type
    if not value:
        return False  # an empty one is as good as none, and written over
    document = stored_document.to_document(stored_document.decode(value))
    try:
        return document is None or without_personal_data(document.body) != document.body
    except (AttributeError, KeyError, TypeError):
        return True  # JSON that no projection wrote


def _emptied(stored: StoredDocument) -> OrderDocument | None:
    """Give a document without personal data; None where it can't be looked into."""
    document = stored_document.to_document(stored)
    try:
        return None if document is None else forget(document)
    except Exception:  # noqa: BLE001 - a pure function, of JSON that no projection wrote
        return None


def _empty(client: "redis.Redis", key: str) -> None:
    """Take personal data out of a document that can't be folded now; it counts as out of date.

    It takes the next position, which is still below that of the event that can't be applied or
    equal to it. So whoever has read it as it was finds it moved, and can't put that back. Of one
    that can't be looked into nothing stays.
    """
    replace = client.register_script(script("replace"))
    for _ in range(ATTEMPTS):
        value = _value(client, key)
        if not value:
            return
        stored = stored_document.decode(value)
        emptied, new = _emptied(stored), b""
        if emptied is not None:
            header = msgspec.structs.replace(stored.header, parked=True)
            body = stored_document.body_bytes(emptied)
            new = stored_document.encode_stored(StoredDocument(stored.position + 1, header, body))
        if replace(keys=[key], args=[value[: stored_document.POSITION_DIGITS], new]):
            return
    raise DocumentMovedError(f"{key} kept changing")


def _remove(client: "redis.Redis", partition: int, generation: int, order_id: OrderId) -> None:
    shard = ShardWriter(client, partition)
    [key] = shard.keys(generation, [order_id])
    for _ in range(ATTEMPTS):
        value = _value(client, key)
        if value is None:
            return
        with suppress(DocumentMovedError):
            shard.remove(generation, order_id, stored_document.decode(value))
            return
    raise DocumentMovedError(f"{key} kept changing")


def _value(client: "redis.Redis", key: str) -> bytes | None:
    """Read a value; what is of another type, so that none of us wrote it, is deleted."""
    try:
        value: Any = client.get(key)
    except redis.ResponseError:
        client.unlink(key)
        return None
    return None if value is None else bytes(value)


def _nodes(client: "redis.Redis") -> Sequence["redis.Redis"]:
    """Give a client for each server: on a cluster there are several."""
    if isinstance(client, RedisCluster):
        return [client.get_redis_connection(node) for node in client.get_nodes()]
    return [client]


def _persistence(node: "redis.Redis") -> Mapping[str, Any]:
    found: Any = node.info("persistence")
    return dict(found)


def _await_rewrite(node: "redis.Redis") -> bool:
    """Wait until no rewriting is under way; False: it took too long, or the last one failed."""
    until = time.monotonic() + REWRITTEN_WITHIN_S
    while time.monotonic() < until:
        now = _persistence(node)
        if not now["aof_rewrite_in_progress"] and not now.get("aof_rewrite_scheduled"):
            return bool(now["aof_last_bgrewrite_status"] == "ok")
        time.sleep(POLL_S)
    return False
