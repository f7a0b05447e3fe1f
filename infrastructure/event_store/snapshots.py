"""Snapshots: the fold of a long stream's beginning, kept so that loading it stays quick.

A snapshot is a cache and never the truth: one of another aggregate version, one that can't be
read, or one that stands on another event than the log has, is passed over for the events.
"""

from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
import structlog

from domain.aggregate import Aggregate
from infrastructure.event_store.mapper import LogEntry, event_hash

EVERY = 100
"""Events read behind a snapshot (or the beginning) before a new one is taken."""

# The newest snapshot of the wanted name, if any, and from its own event on all events, in order.
LOAD = """
WITH kept AS (
    SELECT s.originator_version, s.event_hash, s.state
    FROM snapshots s JOIN events USING (originator_id, originator_version)
    WHERE s.originator_id = %(stream)s AND s.aggregate = %(aggregate)s)
SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state, e.recorded_at,
       e.order_id, k.event_hash AS kept_hash, k.state AS kept
FROM events e LEFT JOIN kept k ON k.originator_version = e.originator_version
WHERE e.originator_id = %(stream)s
  AND e.originator_version >= coalesce((SELECT originator_version FROM kept), 0)
ORDER BY e.originator_version
"""
KEEP = """
INSERT INTO snapshots VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (originator_id) DO UPDATE
SET originator_version = excluded.originator_version, aggregate = excluded.aggregate,
    event_hash = excluded.event_hash, state = excluded.state
WHERE snapshots.aggregate <> excluded.aggregate
   OR snapshots.originator_version < excluded.originator_version
RETURNING originator_version
"""

S = TypeVar("S")
_log = structlog.get_logger(__name__)


def encode(state: object) -> bytes:
    """Write a state as JSON."""
    return msgspec.json.encode(state, enc_hook=_plain)


def read(
    aggregate: Aggregate[S, Any], entry: LogEntry, kept_hash: bytes | None, kept: bytes | None
) -> S | None:
    """Read the snapshot that stands on `entry`; None without one, or where it can't be used."""
    if kept_hash is None or kept is None:
        return None
    if kept_hash != event_hash(entry.stream, entry.version, entry.type, entry.state):
        _log.warning("snapshot_passed_over", stream=entry.stream, reason="another event")
        return None
    try:
        return msgspec.json.decode(kept, type=aggregate.state)
    except msgspec.MsgspecError as error:
        _log.warning("snapshot_passed_over", stream=entry.stream, reason=type(error).__name__)
        return None


def _plain(value: object) -> object:
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise TypeError(f"a state holds no {type(value).__name__}")
