"""Snapshots: the fold of a long stream's beginning, kept so that loading it stays quick.

A snapshot is a cache and never the truth: one of another aggregate version, one that can't be
read, one that stands on another event than the log has, or one that was not written with the
master key, is passed over for the events. So who can write the table can't make up a state.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
import structlog

from commands.ports import Stream
from domain.aggregate import Aggregate
from infrastructure.event_store.mapper import LogEntry, event_hash

EVERY = 100
"""Events read behind a snapshot (or the beginning) before a new one is taken."""

# For each of the wanted streams, which are numbered from 1 on: from a known version on, or from its
# newest snapshot of the wanted name, that event and all that follow.
LOAD = """
SELECT w.number, e.notification_id, e.originator_id, e.originator_version, e.topic, e.state,
       e.recorded_at, e.order_id,
       CASE WHEN e.originator_version = k.originator_version THEN k.mac END AS kept_mac,
       CASE WHEN e.originator_version = k.originator_version THEN k.state END AS kept
FROM unnest(%(streams)s::text[], %(aggregates)s::text[], %(known)s::bigint[])
     WITH ORDINALITY AS w (stream, aggregate, known, number)
LEFT JOIN LATERAL (
    SELECT s.originator_version, s.mac, s.state
    FROM snapshots s JOIN events USING (originator_id, originator_version)
    WHERE s.originator_id = w.stream AND s.aggregate = w.aggregate AND w.known = 0
    OFFSET 0) k ON true
CROSS JOIN LATERAL (
    SELECT * FROM events
    WHERE originator_id = w.stream AND originator_version >= greatest(k.originator_version, w.known)
    ORDER BY originator_version
    OFFSET 0) e
"""
KEEP = """
INSERT INTO snapshots VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (originator_id) DO UPDATE
SET originator_version = excluded.originator_version, aggregate = excluded.aggregate,
    mac = excluded.mac, state = excluded.state
WHERE snapshots.aggregate <> excluded.aggregate
   OR snapshots.originator_version < excluded.originator_version
RETURNING originator_version
"""

S = TypeVar("S")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """A snapshot. Attributes: parameters: of KEEP; size: bytes of the state."""

    parameters: Sequence[object]
    size: int


class Snapshots:
    """Writes and reads snapshots. It does no I/O."""

    def __init__(self, master_key: bytes) -> None:
        # A key of its own: the master key is for sealing (HMAC as a PRF, NIST SP 800-108).
        self._key = hmac.digest(master_key, b"ordertrail snapshots", "sha256")

    def write(self, aggregate: Aggregate[S, Any], stream: Stream[S]) -> Written:
        """Write a snapshot of a stream."""
        encoded = msgspec.json.encode(stream.state, enc_hook=_plain)
        mac = self._mac(aggregate, stream.last_hash, encoded)
        row = [stream.stream, stream.version, aggregate.name, mac, encoded]
        return Written(row, size=len(encoded))

    def read(
        self,
        aggregate: Aggregate[S, Any],
        entry: LogEntry,
        kept_mac: bytes | None,
        kept: bytes | None,
    ) -> S | None:
        """Read the snapshot that stands on `entry`; None without one, or where it can't be used."""
        if kept_mac is None or kept is None:
            return None
        entry_hash = event_hash(entry.stream, entry.version, entry.type, entry.state)
        if not hmac.compare_digest(kept_mac, self._mac(aggregate, entry_hash, kept)):
            _log.warning("snapshot_passed_over", stream=entry.stream, reason="it does not fit")
            return None
        try:
            return msgspec.json.decode(kept, type=aggregate.state)
        except ValueError as error:
            _log.warning("snapshot_passed_over", stream=entry.stream, reason=type(error).__name__)
            return None

    def _mac(self, aggregate: Aggregate[S, Any], entry_hash: bytes, state: bytes) -> bytes:
        # The hash is of fixed length and names stream and version; so nothing can be shifted.
        return hmac.digest(
            self._key, entry_hash + aggregate.name.encode() + b"\n" + state, "sha256"
        )


def _plain(value: object) -> object:
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise TypeError(f"a state holds no {type(value).__name__}")
