"""The whole platform on this machine: orders over HTTP as fast as the views keep up, and reads.

Requests go straight to the services, without the edge. Lag is held flat by the load itself: it
pauses while more events than `MOST_LAG` are not in Redis. So the orders a second that become
readable are what the platform sustains; a relay or projector that is slower lowers it. For each
order that is placed, one that was placed before is read.

Beside it: one command process alone, on a log of its own that nobody publishes.
"""

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
import redis.asyncio
import uvloop

from infrastructure.redis import shard_keys
from tests.bench.http_load import Answered, http_request
from tests.bench.http_open import OpenLoad, open_load
from tests.bench.http_rate import CONNECTIONS, answers_per_s, bearer, place_requests
from tests.bench.report import Bar, Row
from tests.bench.rounds import Effort, interleave
from tests.bench.stack import Platform, Stack
from tests.bench.views import PARTITIONS

CREATED, OK = 201, 200
LENGTHENED, LONG_S = 8, 60.0
"""A turn by default is eight times one of other rows, so five of them are a minute; or a minute."""
MOST_LAG = 500
LOOK_EVERY_S = 0.02
READ_BEHIND = 1_000
"""Reads are of orders placed so many before: those that Redis has."""
MOST_READS_WAITING = 5_000
ALONE = "command process alone"


def measure(stack: Stack, effort: Effort) -> Sequence[Row]:
    alone = stack.platform()
    whole = stack.platform(kafka=True)
    headers = bearer(stack.token("service", "my-shop"))
    support = bearer(stack.token("support", "ada"))
    with (
        stack.service("command-api", alone.settings) as command_alone,
        stack.service("command-api", whole.settings) as command,
        stack.service("query-api", whole.settings) as query,
        stack.service("relay", whole.settings),
        stack.service("projector", whole.settings),
    ):
        load = Load(whole, command.port, query.port, place_requests(headers), support)
        turn_s = LONG_S if effort.long else effort.seconds * LENGTHENED
        alone_per_s = answers_per_s(
            command_alone.port, lambda: place_requests(headers), expected=CREATED
        )
        figures = interleave(
            {
                "ours": lambda seconds: load(turn_s * seconds / effort.seconds),
                ALONE: alone_per_s,
            },
            effort,
        )
    return [Row("platform", "orders/s", figures, [Bar(ALONE, 0.35)], load.notes())]


class Load:
    """Places and reads for some seconds; keeps what else there is to tell of the turns."""

    def __init__(
        self,
        platform: Platform,
        command_port: int,
        query_port: int,
        places: Iterator[bytes],
        support: Mapping[str, str],
    ) -> None:
        self._platform = platform
        self._ports = command_port, query_port
        self._places = places
        self._support = support
        self._placed: deque[bytes] = deque()
        self._reads_per_s: list[float] = []
        self._lags: list[float] = []

    def __call__(self, seconds: float) -> float:
        self._reads_per_s.append(0.0)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._run(seconds))

    def notes(self) -> dict[str, float]:
        return {
            "reads/s": statistics.median(self._reads_per_s[1:]),
            "lag in events, median": statistics.median(self._lags),
            "lag in events, most": max(self._lags),
        }

    async def _run(self, seconds: float) -> float:
        settings = self._platform.settings
        keys = [
            shard_keys.position_key(partition, shard_keys.FIRST_GENERATION)
            for partition in range(PARTITIONS)
        ]
        reads = 0

        def read(_answered: Answered) -> None:
            nonlocal reads
            reads += 1

        async with (
            await psycopg.AsyncConnection.connect(
                self._platform.owner_url, autocommit=True
            ) as connection,
            redis.asyncio.from_url(settings["ORDERTRAIL_REDIS_URL"]) as client,
            open_load(self._ports[0], CONNECTIONS, expected=CREATED, on_answer=self._note) as posts,
            open_load(self._ports[1], CONNECTIONS, expected=OK, on_answer=read) as gets,
        ):
            over, gate = asyncio.Event(), asyncio.Event()
            gate.set()

            async def look() -> tuple[int, int]:
                found: Any = await client.mget(keys)
                cursor = await connection.execute(
                    "SELECT coalesce(max(notification_id), 0) FROM events"
                )
                row = await cursor.fetchone()
                assert row is not None
                return row[0], min(int(value or 0) for value in found)

            async def watch() -> None:
                # Told to end, not canceled: psycopg may take a cancellation for its own affair.
                while not over.is_set():
                    head, shown = await look()
                    self._lags.append(head - shown)
                    if head - shown > MOST_LAG:
                        gate.clear()
                    else:
                        gate.set()
                    await asyncio.sleep(LOOK_EVERY_S)

            _, shown_before = await look()
            started = time.perf_counter()
            # A group: whoever watches may fail, and would leave the gate closed for good.
            async with asyncio.TaskGroup() as beside:
                beside.create_task(watch())
                reading = beside.create_task(self._read(gets))
                while time.perf_counter() - started < seconds:
                    await gate.wait()
                    await posts.send(next(self._places))
                over.set()
                reading.cancel()
            _, shown_after = await look()
            taken_s = time.perf_counter() - started
        self._reads_per_s[-1] = reads / taken_s
        return (shown_after - shown_before) / taken_s

    async def _read(self, gets: OpenLoad) -> None:
        while True:
            if len(self._placed) < READ_BEHIND:
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            path = self._placed.popleft().decode()
            await gets.send(http_request("GET", path, headers=self._support))

    def _note(self, answered: Answered) -> None:
        start = answered.head.index(b"location: ") + 10
        self._placed.append(answered.head[start : answered.head.index(b"\r\n", start)])
        if len(self._placed) > MOST_READS_WAITING:
            self._placed.popleft()
