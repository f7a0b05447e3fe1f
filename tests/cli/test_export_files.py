"""Exports as files: whole or not there, and no cell that a spreadsheet would run."""

import csv
import io
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from api.cli.export_rows import COLUMNS, csv_header, csv_lines, export_row, json_lines
from api.cli.output_file import output
from domain.envelope import Actor, Envelope, Recorded, Role
from domain.ids import OrderId, StreamId
from domain.order.events import CancelReason, OrderCancelled, OrderEvent
from infrastructure.event_store.mapper import LogEntry
from infrastructure.event_store.order_reader import UnreadableEventError
from infrastructure.local.errors import LocalError

ORDER_ID = OrderId(UUID(int=1))
TIME = datetime(2026, 11, 25, tzinfo=UTC)
ENTRY = LogEntry(7, StreamId("order-1"), 2, "order.cancelled.v1", b"{", TIME, ORDER_ID)


def recorded(reason: str, subject: str = "c-1") -> Recorded[OrderEvent]:
    return Recorded(
        position=7,
        stream=ENTRY.stream,
        version=2,
        type=ENTRY.type,
        order_id=ORDER_ID,
        recorded_at=TIME,
        envelope=Envelope(UUID(int=2), TIME, Actor(subject, Role.CUSTOMER), "corr", "cause", "cmd"),
        event=OrderCancelled(ORDER_ID, reason, CancelReason.OTHER),
    )


def as_csv(reason: str, subject: str = "c-1") -> dict[str, str]:
    text = csv_header() + csv_lines([export_row(ENTRY, recorded(reason, subject))])
    [row] = csv.DictReader(io.StringIO(text.decode(), newline=""))
    return row


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_begins_like_a_formula(start: str) -> None:
    row = as_csv(f"{start}HYPERLINK(1)", f"{start}1")
    assert row["reason"] == f"'{start}HYPERLINK(1)"
    assert row["actor_subject"] == f"'{start}1"
    assert not [cell for cell in row.values() if cell.startswith(start)]


@pytest.mark.parametrize("reason", ['a "quoted", word', "two\r\nlines", "ünï, ✓", "a=b", ""])
def test_other_text_comes_back_character_for_character(reason: str) -> None:
    row = as_csv(reason)
    assert tuple(row) == COLUMNS
    assert row["reason"] == reason
    assert orjson.loads(row["data"])["reason"] == reason
    assert (row["position"], row["recorded_at"]) == ("7", "2026-11-25T00:00:00.000000Z")
    [line] = json_lines([export_row(ENTRY, recorded(reason))]).splitlines()
    assert orjson.loads(line)["data"]["reason"] == reason


def test_every_line_of_csv_ends_as_rfc_4180_says() -> None:
    text = csv_header() + csv_lines([export_row(ENTRY, recorded("x"))] * 2)
    assert text.count(b"\r\n") == text.count(b"\n") == 3
    assert text.endswith(b"\r\n")


def test_an_event_that_cannot_be_read_says_so_and_where_it_stands() -> None:
    row = export_row(ENTRY, UnreadableEventError(ENTRY, ValueError("secret")))
    assert (row["position"], row["type"]) == (7, "order.cancelled.v1")
    assert row["data"] == {"unreadable": "ValueError"}
    assert b"secret" not in csv_lines([row])


def interrupted(path: Path) -> None:
    with output(path) as out:
        out.write(b"second")
        raise KeyboardInterrupt


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    with output(path) as out:
        out.write(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, signal, sys
from pathlib import Path
from api.cli.output_file import output
with output(Path(sys.argv[1])) as out:
    out.write(b"half")
    out.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_export_left_is_taken_away_by_the_next_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    [left] = tmp_path.iterdir()
    assert left.read_bytes() == b"half"

    with output(tmp_path / "other.csv") as out:
        out.write(b"other")
    assert left.exists(), "of another name"
    with output(path) as out:
        out.write(b"whole")
    assert {file.name for file in tmp_path.iterdir()} == {"export.csv", "other.csv"}


def test_an_export_that_goes_on_is_left_alone_by_another_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    with output(path) as first:
        first.write(b"first")
        with output(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"


def test_a_file_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="can't write"), output(tmp_path / "no" / "x.csv"):
        pass
