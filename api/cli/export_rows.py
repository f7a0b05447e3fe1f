"""Events as rows of CSV (RFC 4180) or as JSON Lines, for tools and for spreadsheets.

Rule: no cell is taken for a formula. What begins like one gets an apostrophe before it, so
JSON Lines is the form that keeps every character.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import orjson

from domain.envelope import Recorded
from domain.events import DomainEvent
from infrastructure.event_store.mapper import LogEntry
from infrastructure.event_store.order_reader import UnreadableEventError
from projections.order.body import timestamp
from projections.order.history import payload, reason

COLUMNS = (
    "position",
    "recorded_at",
    "occurred_at",
    "type",
    "stream",
    "version",
    "order_id",
    "event_id",
    "actor_role",
    "actor_subject",
    "reason",
    "command_id",
    "correlation_id",
    "causation_id",
    "data",
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What spreadsheets take for the beginning of a formula (OWASP, CSV Injection)."""

Row: TypeAlias = Mapping[str, Any]


def export_row(entry: LogEntry, recorded: Recorded[DomainEvent] | UnreadableEventError) -> Row:
    """Write one event. Of one that can't be read there is what stands outside of its payload."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "position": entry.position,
        "recorded_at": timestamp(entry.recorded_at),
        "type": entry.type,
        "stream": entry.stream,
        "version": entry.version,
        "order_id": None if entry.order_id is None else str(entry.order_id),
    }
    if isinstance(recorded, UnreadableEventError):
        return row | {"data": {"unreadable": recorded.reason}}
    envelope = recorded.envelope
    return row | {
        "occurred_at": timestamp(envelope.occurred_at),
        "event_id": str(envelope.event_id),
        "actor_role": str(envelope.actor.role),
        "actor_subject": envelope.actor.subject,
        "reason": reason(recorded.event),
        "command_id": envelope.command_id,
        "correlation_id": envelope.correlation_id,
        "causation_id": envelope.causation_id,
        "data": payload(recorded.event),
    }


def csv_header() -> bytes:
    return _lines([COLUMNS])


def csv_lines(rows: Iterable[Row]) -> bytes:
    return _lines([_cell(row[name]) for name in COLUMNS] for row in rows)


def json_lines(rows: Iterable[Row]) -> bytes:
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, Mapping):
        value = orjson.dumps(value).decode()
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
