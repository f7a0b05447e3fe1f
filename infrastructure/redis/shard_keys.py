"""Under which keys the read models lie in Redis, and what lies under the small ones.

A shard is one partition of the topic `order-events`: its documents, lists and progress share
one hash tag, so one script changes them together, on a Redis Cluster too. They exist once per
generation; all generations of a shard share its tag, so one script changes these together too.
A pointer says which generation is read, a set per shard which ones are fed. Both are missing
in an empty Redis, and that means the first generation.
"""

import re
import zlib
from collections.abc import Iterable

import msgspec
import redis

from domain.ids import OrderId

FIRST_GENERATION = 1
LIVE_GENERATION = "order:live-generation"
"""The pointer: which generation is read."""
GENERATIONS = "order:generations"
"""What is known of the generations besides: see `generations.Ledger`."""
_FED = re.compile(rb"[1-9]\d{0,8}(,[1-9]\d{0,8})*")
_PROGRESS = re.compile(rb"[ -~]*")


class PointerUnreadableError(redis.RedisError):
    """Nobody can tell which generation is read: Redis is as good as away."""


def partition_of(order_id: OrderId, partitions: int) -> int:
    """Place an order: the same partition of the topic and shard of the read models, always."""
    return zlib.crc32(order_id.bytes) % partitions


def prefix(partition: int) -> str:
    return f"{{order-{partition}}}:"


def generation_prefix(partition: int, generation: int) -> str:
    return f"{{order-{partition}}}:g{generation}:"


def document_key(order_id: OrderId, partitions: int, generation: int) -> str:
    partition = zlib.crc32(order_id.bytes) % partitions
    return f"{{order-{partition}}}:g{generation}:document:{msgspec.to_builtins(order_id)}"


def list_key(partition: int, generation: int, name: str) -> str:
    return f"{generation_prefix(partition, generation)}list:{name}"


def parked_key(partition: int, generation: int) -> str:
    """Where notes on parked orders are kept: order id -> ParkedNote."""
    return f"{generation_prefix(partition, generation)}parked"


def progress_key(partition: int, generation: int) -> str:
    return f"{generation_prefix(partition, generation)}progress"


def position_key(partition: int, generation: int) -> str:
    return f"{generation_prefix(partition, generation)}position"


def built_key(partition: int, generation: int) -> str:
    """Where it is kept how far a generation has been built: range of orders -> last order."""
    return f"{generation_prefix(partition, generation)}built"


def fed_key(partition: int) -> str:
    """Where a shard keeps which of its generations are fed: '1', or '1,2'."""
    return f"{prefix(partition)}fed"


def encode_fed(generations: Iterable[int]) -> str:
    return ",".join(map(str, generations))


def decode_fed(value: bytes | None) -> tuple[int, ...]:
    """Read which generations are fed; what is no such set is as good as none, as in apply.lua.

    Only as it is written: the script compares texts, to which '01' and '1,1' are no '1'.
    """
    if value is None or not _FED.fullmatch(value):
        return (FIRST_GENERATION,)
    fed = tuple(map(int, value.split(b",")))
    return fed if len(set(fed)) == len(fed) else (FIRST_GENERATION,)


def decode_progress(value: bytes | None) -> str:
    """Read a progress; what is no text of ours is as good as none, as in apply.lua."""
    return value.decode() if value is not None and _PROGRESS.fullmatch(value) else ""


def decode_pointer(value: bytes | None) -> int:
    """Read which generation is read. Raises PointerUnreadableError."""
    if value is None:
        return FIRST_GENERATION
    if not value.isdigit():
        raise PointerUnreadableError(f"{LIVE_GENERATION} holds {value[:40]!r}, and no number")
    return int(value)


def decode_position(value: bytes | None) -> int:
    """Read how far a shard is complete; what is no number is as good as none."""
    return int(value) if value is not None and value.isdigit() else 0
