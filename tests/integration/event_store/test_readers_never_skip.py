"""A reader at the tail sees each position once, in order, whatever happens to the writers."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from infrastructure.event_store.recorder import EventLogRecorder, open_datastore

WRITER = Path(__file__).with_name("append_forever.py")
FREEZES = 15
WAIT_S = 30.0


@contextmanager
def writers(database_url: str, count: int, folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    started = []
    for number in range(count):
        with (folder / f"writer{number}.out").open("wb") as out:
            command = [sys.executable, str(WRITER), database_url]
            started.append(subprocess.Popen(command, stdout=out, cwd=WRITER.parents[3]))
    try:
        yield started
    finally:
        for process in started:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_reader_at_the_tail_skips_nothing_while_writers_are_killed_and_frozen(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    recorder = EventLogRecorder(open_datastore(database_url, pool_size=1, connect_timeout_s=10))
    seen: list[int] = []

    def follow(events: int) -> None:
        """Read the tail until so many more events have come: nobody may be holding them up."""
        goal, until = len(seen) + events, time.monotonic() + WAIT_S
        while len(seen) < goal:
            assert time.monotonic() < until, "the writers stand still"
            seen.extend(
                entry.position
                for entry in recorder.read_log(after=seen[-1] if seen else 0, limit=500)
            )

    with writers(database_url, 4, tmp_path) as processes:
        follow(100)
        for _ in range(FREEZES):
            frozen = chance.choice(processes[:3])
            time.sleep(chance.random() * 0.02)  # anywhere in its work
            frozen.send_signal(signal.SIGSTOP)
            follow(100)
            frozen.send_signal(signal.SIGCONT)
        for victim in processes[:3]:
            time.sleep(chance.random() * 0.02)
            victim.kill()
            follow(100)
        for victim in processes:
            victim.kill()
            victim.wait()
        while entries := recorder.read_log(after=seen[-1], limit=5_000):
            seen += [entry.position for entry in entries]

    assert seen == list(range(1, len(seen) + 1))
    _assert_acknowledged_is_stored(database_url, tmp_path)
    recorder.datastore.close()


def _assert_acknowledged_is_stored(database_url: str, folder: Path) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT originator_id, array_agg(notification_id ORDER BY 1) FROM events GROUP BY 1"
        )
        stored: dict[str, list[int]] = dict(rows.fetchall())
    acknowledged = 0
    for file in folder.glob("writer*.out"):
        for line in file.read_text().splitlines()[:-1]:
            stream, *positions = line.split()
            assert sorted(stored[stream]) == [int(position) for position in positions]
            acknowledged += 1
    assert acknowledged > 0
