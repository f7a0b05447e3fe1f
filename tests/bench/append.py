"""Append: 64 concurrent callers, one event each, through the store that the handlers use."""

import asyncio
import gc
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import uuid_utils.compat
import uvloop
from eventsourcing.persistence import StoredEvent
from psycopg.conninfo import conninfo_to_dict

from commands.ports import Append, Ports
from infrastructure import composition
from infrastructure.event_store.sealing import read_master_key
from infrastructure.event_store.store import PostgresEventStore, open_event_store
from infrastructure.local.postgres import binary
from infrastructure.local.program import inherited_environment
from tests.bench.floors import open_stock_recorder
from tests.bench.orders import appends
from tests.bench.report import Bar, Row
from tests.bench.rounds import Contender, Effort, interleave
from tests.bench.stack import Platform, Stack

CALLERS = 64
APPENDS_PER_S = 5_000
"""How many are prepared per second of measuring; the figure is their number by the time taken."""
PGBENCH_CLIENTS = 32
STOCK_THREADS = 8
# Column by column what append_events writes, with the same indexes; a sequence gives positions.
LIKE_EVENTS = """
CREATE SCHEMA bench;
CREATE TABLE bench.events (LIKE public.events INCLUDING ALL);
CREATE SEQUENCE bench.position CACHE 1;
"""
INSERT = (
    "INSERT INTO bench.events VALUES ('order-' || uuidv7(), 1, 'order.placed.v2', '\\x{state}',"
    " nextval('bench.position'), clock_timestamp(), uuidv7());\n"
)


def measure(stack: Stack, effort: Effort) -> Sequence[Row]:
    platform = stack.platform()
    with appender(platform) as ours:
        ours(0.1)
        state = a_state(platform.owner_url)
        figures = interleave(
            {
                "ours": ours,
                "pgbench": _Pgbench(stack.folder / "insert.sql", platform.owner_url, state),
                "stock recorder": _Stock(platform.owner_url, state),
            },
            effort,
        )
    bars = [Bar("pgbench", 1.0), Bar("stock recorder", 10.0)]
    return [Row("append", "events/s", figures, bars, {"bytes of one state": len(state)})]


@contextmanager
def appender(platform: Platform) -> Iterator[Contender]:
    """Open the event store, and give what appends to it by 64 callers at once."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        opened = open_event_store(
            platform.settings["ORDERTRAIL_POSTGRES_URL"],
            read_master_key(platform.master_key_file),
            pool_size=8,
            pool_timeout_s=5,
        )
        store = runner.run(opened.__aenter__())
        try:
            yield _Ours(runner, store)
        finally:
            runner.run(opened.__aexit__(None, None, None))


class _Ours:
    """The appends are decided beforehand; sealing, hashing and storing them is what is timed."""

    def __init__(self, runner: asyncio.Runner, store: PostgresEventStore) -> None:
        self._runner = runner
        self._store = store
        self._ports = Ports(store, composition.SystemClock(), composition.RandomNames())

    def __call__(self, seconds: float) -> float:
        waiting = appends(self._ports, max(CALLERS, int(seconds * APPENDS_PER_S)))
        # No service holds thousands of appends: looking through them is no cost of an append.
        gc.collect()
        gc.freeze()
        try:
            started = time.perf_counter()
            self._runner.run(self._append_all(waiting))
            return len(waiting) / (time.perf_counter() - started)
        finally:
            gc.unfreeze()

    async def _append_all(self, waiting: Sequence[Append]) -> None:
        left = iter(waiting)
        await asyncio.gather(*(self._caller(left) for _ in range(CALLERS)))

    async def _caller(self, left: Iterable[Append]) -> None:
        for one in left:
            await self._store.append(one)


class _Pgbench:
    def __init__(self, script: Path, url: str, state: bytes) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(LIKE_EVENTS)
        script.write_text(INSERT.format(state=state.hex()))
        self._script = script
        parts = conninfo_to_dict(url)
        self._environment = {
            **inherited_environment(),
            "PGHOST": str(parts["host"]),
            "PGPORT": str(parts["port"]),
            "PGUSER": str(parts["user"]),
            "PGPASSWORD": str(parts["password"]),
            "PGDATABASE": str(parts["dbname"]),
        }

    def __call__(self, seconds: float) -> float:
        clients = ["-c", str(PGBENCH_CLIENTS), "-j", "2", "-M", "prepared"]
        done = subprocess.run(
            [
                binary("pgbench"),
                "-n",
                *clients,
                "-T",
                str(max(1, round(seconds))),
                "-f",
                self._script,
            ],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
        assert found is not None, done.stdout
        return float(found[1])


class _Stock:
    """The library's own recorder and table, given finished events: it maps and seals none."""

    def __init__(self, url: str, state: bytes) -> None:
        self._state = state
        self._recorder = open_stock_recorder(url, pool_size=STOCK_THREADS)

    def __call__(self, seconds: float) -> float:
        stop_at = time.perf_counter() + seconds
        with ThreadPoolExecutor(STOCK_THREADS) as threads:
            counts = threads.map(lambda _: self._append_until(stop_at), range(STOCK_THREADS))
            return sum(counts) / seconds

    def _append_until(self, stop_at: float) -> int:
        appended = 0
        while time.perf_counter() < stop_at:
            stream = f"order-{uuid_utils.compat.uuid7()}"
            event = StoredEvent(stream, 1, "order.placed.v2", self._state)
            self._recorder.insert_events([event])
            appended += 1
        return appended


def a_state(url: str) -> bytes:
    """Give the bytes of an event that was just stored, so that the floors store as many."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT state FROM events LIMIT 1").fetchone()
    assert row is not None
    return bytes(row[0])
