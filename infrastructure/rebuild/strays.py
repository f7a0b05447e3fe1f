"""Find what no order of the log explains: documents of nobody or in the wrong shard, stray entries.

The check goes by the log, order by order, and sees none of these.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from domain.ids import OrderId
from infrastructure.rebuild.check import Beside
from infrastructure.rebuild.differences import Difference, Findings
from infrastructure.rebuild.log import OrderLog, opened
from infrastructure.rebuild.parts import Parts
from infrastructure.redis import shard_keys, stored_document
from infrastructure.redis.generations import Generations
from infrastructure.redis.shard import script

AT_A_TIME = 1_000
LISTS_AT_A_TIME = 200
GHOST = "what is read now has a document of it that no event stands behind: it would be gone"


def strays(parts: Parts, generation: int, beside: Beside | None) -> Findings:
    """Go through every key of a generation.

    An entry that `beside` has in the same list is right, if its order has not moved since.
    """
    found: list[Difference] = []
    documents: list[OrderId] = []
    lists: dict[int, list[str]] = defaultdict(list)
    with opened(parts.connect) as log:
        for partition, kind, name in _keys(parts, generation):
            if kind == "document":
                order_id = _order(name)
                if order_id is None:
                    found.append(Difference(None, f"{name!r} has a document, and is no order's id"))
                elif shard_keys.partition_of(order_id, parts.partitions) != partition:
                    found.append(
                        Difference(order_id, f"is in shard {partition}, where nobody looks for it")
                    )
                else:
                    documents.append(order_id)
            elif kind == "list":
                lists[partition].append(name)
            if len(documents) >= AT_A_TIME:
                found += _nobodys(log, documents)
                documents = []
            if len(lists[partition]) >= LISTS_AT_A_TIME:
                found += _misplaced(parts, generation, beside, partition, lists.pop(partition))
        found += _nobodys(log, documents)
        for partition, names in lists.items():
            found += _misplaced(parts, generation, beside, partition, names)
    return Findings.of(found)


def ghosts(parts: Parts, generation: int, beside: int) -> Findings:
    """Find documents of one generation that another, built from the log, hasn't, and no event has.

    Only those that the other lacks are looked up in the log.
    """
    found: list[Difference] = []
    documents: dict[int, list[str]] = defaultdict(list)
    with opened(parts.connect) as log:
        for partition, kind, name in _keys(parts, generation):
            if kind != "document" or _order(name) is None:
                continue
            documents[partition].append(name)
            if len(documents[partition]) >= AT_A_TIME:
                found += _ghosts(parts, log, beside, partition, documents.pop(partition))
        for partition, names in documents.items():
            found += _ghosts(parts, log, beside, partition, names)
    return Findings.of(found)


def _ghosts(
    parts: Parts, log: OrderLog, beside: int, partition: int, names: Sequence[str]
) -> list[Difference]:
    prefix = f"{shard_keys.generation_prefix(partition, beside)}document:"
    keys = [f"{prefix}{name}" for name in names]
    there: Any = parts.client.exists(*keys)
    if there == len(keys):
        return []
    missing = [
        OrderId(UUID(name))
        for name, key in zip(names, keys, strict=True)
        if not parts.client.exists(key)
    ]
    return [Difference(one, GHOST) for one in log.unknown(missing)]


def _keys(parts: Parts, generation: int) -> Iterator[tuple[int, str, str]]:
    """Give partition, kind and name of each key."""
    for key in Generations(parts.client, parts.partitions).keys(generation):
        shard, _, kind, *name = _shown(key).split(":", 3)
        number = shard.removeprefix("{order-").removesuffix("}")
        if number.isdecimal() and int(number) < parts.partitions:  # else it is no key of ours
            yield int(number), kind, "".join(name)


def _shown(value: bytes) -> str:
    """Write a key or an entry, whatever somebody has put there."""
    return value.decode("utf-8", "backslashreplace")


def _order(name: str) -> OrderId | None:
    try:
        found = UUID(name)
    except ValueError:
        return None
    return OrderId(found) if str(found) == name else None


def _nobodys(log: OrderLog, order_ids: Sequence[OrderId]) -> list[Difference]:
    return [Difference(one, "has a document, and no event") for one in log.unknown(order_ids)]


def _misplaced(
    parts: Parts, generation: int, beside: Beside | None, partition: int, names: Sequence[str]
) -> list[Difference]:
    prefixes = [shard_keys.generation_prefix(partition, generation)]
    apart_to = 0
    if beside is not None:
        prefixes.append(shard_keys.generation_prefix(partition, beside.generation))
        apart_to = beside.apart_to
    walk = parts.client.register_script(script("strays"))
    found: list[Difference] = []
    after: str | bytes = ""
    while names:
        pairs = [text for n, name in enumerate(names) for text in (name, "" if n else after)]
        arguments = [AT_A_TIME, stored_document.encode_position(apart_to), *pairs]
        answer: Any = walk(keys=prefixes, args=arguments)
        done, rest, *entries = answer
        names, after = names[done:], bytes(rest)
        found += [
            Difference(None, f"{_shown(entry)} stands in the list {_shown(name)} without reason")
            for name, entry in zip(entries[::2], entries[1::2], strict=True)
        ]
    return found
