"""Importing a file through the real command line into the real platform: it counts once."""

import csv
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.importing.reading import COLUMNS
from projections.order.document import OrderDocument
from tests.consistency import assert_consistent, count, order_reader
from tests.live_platform import CLI, LivePlatform

FIRST_DAY = Path(__file__).parents[2] / "api" / "cli" / "demo" / "first_day.csv"
ORDERS, CANCELLATIONS = 160, 40
LINES = 2
Rows = Sequence[Sequence[object]]


def test_the_first_day_adds_up_and_a_second_run_places_nothing(
    platform: LivePlatform, tmp_path: Path
) -> None:
    first = _import(platform, FIRST_DAY, tmp_path)
    assert "80 placed, 0 there already, 0 refused" in first
    assert "1 sent, 0 there already, 0 refused" in first
    rows, amount = _of_the_file(FIRST_DAY)
    assert f"{rows} {amount:,.2f}" in " ".join(first.split())
    rejects = len(_read(tmp_path / "rejects.csv"))
    assert 862 + 1 + rejects == rows
    stored = count(platform.settings).events

    second = _import(platform, FIRST_DAY, tmp_path)
    assert "0 placed, 80 there already, 0 refused" in second
    assert "0 sent, 1 there already, 0 refused" in second
    assert count(platform.settings).events == stored
    assert len(_orders(platform, "536")) == 80
    assert_consistent(platform.settings)


def test_an_import_killed_in_the_middle_and_run_again_ends_as_if_run_once(
    platform: LivePlatform, tmp_path: Path
) -> None:
    """Killed among the orders, and again among the cancellations; the control runs in one go."""
    control, killed = _write(tmp_path, "7"), _write(tmp_path, "8")
    before = count(platform.settings).events
    assert f"{ORDERS} placed" in _import(platform, control, tmp_path)
    whole = count(platform.settings).events - before
    assert whole == ORDERS + CANCELLATIONS

    for events in (whole // 3, ORDERS + CANCELLATIONS // 3):
        with _importing(platform, killed, tmp_path) as process:
            _await_events(platform, before + whole + events, process)
        assert process.returncode == -signal.SIGKILL
        assert before + whole + events <= count(platform.settings).events < before + 2 * whole
    report = _import(platform, killed, tmp_path)
    assert f"{ORDERS} there already" in report
    assert count(platform.settings).events == before + 2 * whole
    assert _orders(platform, "8") == _orders(platform, "7")
    assert_consistent(platform.settings)


@pytest.mark.parametrize("content", [b"", b"no,csv,of,ours\n1,2,3,4\n", b"\x00\xff" * 400])
def test_a_file_that_is_none_is_refused_and_nothing_is_placed(
    platform: LivePlatform, tmp_path: Path, content: bytes
) -> None:
    stored = count(platform.settings).events
    file = tmp_path / "none.csv"
    file.write_bytes(content)
    done = platform.run("import", str(file), "--rejects", str(tmp_path / "rejects.csv"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert count(platform.settings).events == stored


def _import(platform: LivePlatform, file: Path, folder: Path) -> str:
    done = platform.run("import", str(file), "--rejects", str(folder / "rejects.csv"))
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def _importing(
    platform: LivePlatform, file: Path, folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Import slowly until the end of the block, and then SIGKILL it."""
    rejects = str(folder / "rejects.csv")
    process = subprocess.Popen(
        [*CLI, "import", str(file), "--rejects", rejects, "--concurrency", "1"],
        env={**platform.environment, "TMPDIR": str(folder)},  # what a killed one leaves goes too
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _await_events(platform: LivePlatform, events: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while count(platform.settings).events < events:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until


def _write(folder: Path, prefix: str) -> Path:
    """Write a file whose invoices begin with `prefix`; else every such file is the same."""
    rows: list[list[object]] = []
    for n in range(ORDERS):
        at, customer = f"2010-12-{1 + n % 28:02} 08:26:00", f"{prefix}{n % 40:04}.0"
        rows += [
            [
                f"{prefix}{n:05}",
                f"S{n}-{line}",
                "PAPER CHAIN",
                line + 2,
                at,
                "2.55",
                customer,
                "Eire",
            ]
            for line in range(LINES)
        ]
        if n < CANCELLATIONS:
            cancelled = [f"C{prefix}{n:05}", f"S{n}-0", "PAPER CHAIN", -2, "2011-01-03 09:00:00"]
            rows.append([*cancelled, "2.55", customer, "Eire"])
    file = folder / f"{prefix}.csv"
    with file.open("w", newline="") as output:
        csv.writer(output).writerows([COLUMNS, *rows])
    return file


def _orders(platform: LivePlatform, prefix: str) -> Mapping[str, Any]:
    """Give the imported orders by invoice, without what differs between two imports of them."""
    with psycopg.connect(platform.settings["ORDERTRAIL_POSTGRES_URL"]) as connection:
        ids = connection.execute(
            "SELECT order_id FROM unique_names WHERE scope = 'external_reference' AND name LIKE %s",
            [f"6:import:{prefix}%"],
        ).fetchall()
    with order_reader(platform.settings) as reader:
        folds = reader.fold_many([row[0] for row in ids]).values()
        bodies = [folded.body for folded in folds if isinstance(folded, OrderDocument)]
    varying = {"order_id", "order_number", "external_reference", "position", "updated_at"}
    varying |= {"customer", "timeline"}
    return {
        body["external_reference"].removeprefix(prefix): {
            **{name: value for name, value in body.items() if name not in varying},
            "customer": body["customer"]["id"].replace(f"c-{prefix}", "c-", 1),
            "steps": [step["code"] for step in body["timeline"]],
        }
        for body in bodies
    }


def _read(file: Path) -> Rows:
    with file.open(encoding="utf-8-sig", newline="") as rows:
        return list(csv.reader(rows))[1:]


def _of_the_file(file: Path) -> tuple[int, Decimal]:
    rows = _read(file)
    return len(rows), sum((Decimal(str(row[3])) * Decimal(str(row[5])) for row in rows), Decimal(0))
