"""Which generation is read, what is known of the others, and the next one while it is built.

Rules: a generation's number is never given twice, so what a frozen process left behind can't
come into another one; what is read changes by one compare-and-set of one key. An empty Redis is
at its first generation, and knows of no other.
"""

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import msgspec
import redis

from infrastructure.redis import shard_keys
from infrastructure.redis.shard import ShardWriter, script

SCANNED_AT_A_TIME = 1_000

Stage: TypeAlias = Literal["build", "hand over", "check"]


class LedgerMovedError(Exception):
    """Somebody else was here, or Redis has lost what it was told: look at what there is now."""


class LedgerUnreadableError(Exception):
    """Nobody can tell what is known of the generations; the message says what to do."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"{shard_keys.GENERATIONS} holds {found}, and not what is known of the generations:"
            f" somebody wrote there. `DEL {shard_keys.GENERATIONS}` in Redis, then `rebuild`"
            " (and no --rollback before it): see docs/operations.md"
        )


class Plan(msgspec.Struct, frozen=True):
    """The next generation, while it is being built.

    Attributes:
        generation: its number.
        stage: what is to be done next; everything before it has been done.
        projection_version: of the code that builds it.
        started_at: RFC 3339.
        position: the log position that it has been built to; the target while it is built.
        bounds: order ids at which the key space is cut; a range is from above one to the next.
        progress: where each shard's partition is to be read on.
    """

    generation: int
    stage: Stage
    projection_version: int
    started_at: str
    position: int
    bounds: list[str]
    progress: list[str]


class Ledger(msgspec.Struct, frozen=True):
    """What is known of the generations.

    Attributes:
        highest: the highest number that was ever given.
        dropping: what is being deleted; a drop that was cut short goes on with it.
        versions: the projection version that a generation was built with, where it is known.
        next: the one that is being built.
    """

    highest: int = shard_keys.FIRST_GENERATION
    dropping: int | None = None
    versions: dict[int, int] = {}
    next: Plan | None = None


_decoder = msgspec.json.Decoder(Ledger)
_encoder = msgspec.json.Encoder()


class Generations:
    """The generations of all shards. Blocking; raises redis.RedisError."""

    def __init__(self, client: "redis.Redis", partitions: int) -> None:
        self.shards = [ShardWriter(client, partition) for partition in range(partitions)]
        self._client = client
        self._swap = client.register_script(script("swap"))

    def live(self) -> int:
        """Give the generation that is read."""
        return shard_keys.decode_pointer(self._pointer())

    def flip(self, *, before: int, after: int) -> None:
        """Let another generation be read from now on.

        Raises:
            LedgerMovedError: it is neither `before` nor `after` that is read now.
        """
        stored = self._pointer()
        live = shard_keys.decode_pointer(stored)
        if live == after:
            return
        if live != before or not self._swapped(shard_keys.LIVE_GENERATION, stored, str(after)):
            raise LedgerMovedError(f"generation {live} is read, not {before}")

    def _pointer(self) -> bytes | None:
        # GET would fail where somebody has put another type there, as good as none to readers.
        values: Any = self._client.mget([shard_keys.LIVE_GENERATION])
        return _bytes(values[0])

    def ledger(self) -> Ledger:
        """Read the ledger.

        Raises:
            LedgerUnreadableError: no code of ours wrote what is there.
        """
        return _ledger(self._stored_ledger())

    def _stored_ledger(self) -> bytes | None:
        # Unlike the pointer, it is not as good as none: a rebuild may be under way.
        try:
            return _bytes(self._client.get(shard_keys.GENERATIONS))
        except redis.ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            raise LedgerUnreadableError("another type") from error

    def write(self, before: Ledger, after: Ledger) -> Ledger:
        """Put a ledger in the place of the one that was read, and give it.

        Raises:
            LedgerMovedError: it is another one by now.
            LedgerUnreadableError: no code of ours wrote what is there.
        """
        stored = self._stored_ledger()
        if _ledger(stored) != before or not self._swapped(
            shard_keys.GENERATIONS, stored, _encoder.encode(after).decode()
        ):
            raise LedgerMovedError("the ledger of the generations was changed, or is gone")
        return after

    def fed(self) -> set[int]:
        """Give every generation that is fed in some shard."""
        return {generation for shard in self.shards for generation in shard.fed()}

    def is_fed(self, generation: int) -> bool:
        """Say whether it is fed in every shard."""
        return all(generation in shard.fed() for shard in self.shards)

    def delete(self, generation: int) -> None:
        """Feed a generation no longer and delete it, a thousand keys at a time."""
        for shard in self.shards:
            if generation in shard.fed():
                shard.leave(generation)
        batch: list[bytes] = []
        for key in self.keys(generation):
            batch.append(key)
            if len(batch) >= SCANNED_AT_A_TIME:
                self._unlink(batch)
                batch = []
        self._unlink(batch)

    def keys(self, generation: int) -> Iterator[bytes]:
        """Scan for all keys of a generation; one that is there all the time comes at least once."""
        pattern = f"{{order-*}}:g{generation}:*"
        for key in self._client.scan_iter(pattern, count=SCANNED_AT_A_TIME):
            yield bytes(key)

    def _unlink(self, keys: list[bytes]) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.unlink(key)
            pipeline.execute()

    def _swapped(self, key: str, before: bytes | None, after: str) -> bool:
        swapped: Any = self._swap(keys=[key], args=[before or b"", after])
        return bool(swapped)


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _ledger(stored: bytes | None) -> Ledger:
    if stored is None:
        return Ledger()
    try:
        return _decoder.decode(stored)
    except ValueError as error:
        raise LedgerUnreadableError(repr(stored[:40])) from error
