"""A rebuild with two processes, beside a bare read of the same log: 4 events an order.

The bare read is one process with a server-side cursor over the same columns, in log order.
Whatever a rebuild does is in its time, from starting its processes to the flip.
"""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from typing import Any

import psycopg

from commands.envelopes import address_events
from commands.ports import Append, Ports, Write
from domain.ids import OrderId
from domain.order.events import (
    CancelledLine,
    CancelReason,
    OrderEvent,
    OrderLinesCancelled,
    OrderPlaced,
)
from infrastructure import composition
from infrastructure.event_store.mapper import event_hash
from infrastructure.event_store.sealing import read_master_key
from infrastructure.event_store.store import PostgresEventStore, open_event_store
from infrastructure.rebuild import lifecycle
from infrastructure.rebuild.log import COLUMNS
from infrastructure.rebuild.run import Rebuild
from infrastructure.rebuild.workers import Workers
from infrastructure.redis.generations import Generations
from infrastructure.redis.shard import Step
from infrastructure.settings import StoreSettings, ViewSettings
from tests.bench.http_load import http_request
from tests.bench.http_rate import answers_per_s, bearer
from tests.bench.orders import appends
from tests.bench.report import Bar, Row
from tests.bench.rounds import Effort
from tests.bench.stack import Platform, Stack

ORDERS = 250_000
SHORT = 0.06
"""Share of that in a short run."""
EVENTS_AN_ORDER = 4
PROCESSES = 2
AT_ONCE = 250
ROUNDS = 3
READ_ORDERS = 500
CURSOR_ROWS = 2_000
OK = 200
BARE, USUAL = "bare read", "usual reads"


@dataclass(frozen=True, slots=True)
class Took:
    """One rebuild. Attributes: whole_s, checking_s: durations; peak_mb: of its worker."""

    whole_s: float
    checking_s: float
    peak_mb: float


def measure(stack: Stack, effort: Effort) -> Sequence[Row]:
    platform = stack.platform()
    orders = int(ORDERS * effort.scale * (1 if effort.long else SHORT))
    _fill_log(platform, orders // 10)
    small = _rebuild(platform)
    read_orders = _fill_log(platform, orders - orders // 10)
    events = orders * EVENTS_AN_ORDER
    rounds = min(ROUNDS, effort.rounds)
    bare: list[float] = []
    took: list[Took] = []
    for _ in range(rounds):
        bare.append(events / _bare_read(platform))
        took.append(_rebuild(platform))
    usual, meanwhile = _reads(stack, platform, read_orders, effort)
    whole = [events / one.whole_s for one in took]
    aside = [events / (one.whole_s - one.checking_s) for one in took]
    few, many = f"MB at {events // 10:,} events", f"MB at {events:,}"
    name = f"rebuild of {events:,} events"
    peaks = {many: [one.peak_mb for one in took], few: [small.peak_mb] * rounds}
    return [
        Row(f"{name}, with checks", "events/s", {"ours": whole, BARE: bare}, [Bar(BARE, 0.25)]),
        Row(f"{name}, checks aside", "events/s", {"ours": aside, BARE: bare}, [Bar(BARE, 0.4)]),
        Row("most memory of a worker", "MB", peaks, [Bar(few, 1.1, at_most=True)]),
        Row(
            "reads during a rebuild",
            "answers/s",
            {"ours": meanwhile, USUAL: usual},
            [Bar(USUAL, 0.5)],
        ),
    ]


def _settings(platform: Platform) -> tuple[StoreSettings, ViewSettings]:
    store = StoreSettings(
        postgres_url=platform.settings["ORDERTRAIL_POSTGRES_URL"],
        master_key_file=platform.master_key_file,
    )
    return store, ViewSettings(redis_url=platform.settings["ORDERTRAIL_REDIS_URL"])


def _fill_log(platform: Platform, orders: int) -> Sequence[OrderId]:
    """Append orders, and later three partial cancellations to each; Redis counts as up to date."""

    async def fill() -> Sequence[OrderId]:
        placed: list[OrderId] = []
        async with open_event_store(
            platform.settings["ORDERTRAIL_POSTGRES_URL"],
            read_master_key(platform.master_key_file),
            pool_size=4,
            pool_timeout_s=5,
        ) as store:
            ports = Ports(store, composition.SystemClock(), composition.RandomNames())
            while len(placed) < orders:
                batches = [appends(ports, AT_ONCE) for _ in range(8)]
                for batch in batches:
                    await _append(store, batch)
                    placed += [one.answer.order_id for one in batch]
                with psycopg.connect(platform.owner_url) as connection:
                    for batch in batches:
                        await _append(store, list(_cancellations(connection, ports, batch)))
        return placed

    placed = asyncio.run(fill())
    parts = composition.rebuild_parts(*_settings(platform))
    with psycopg.connect(platform.owner_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE events")
        row = connection.execute("SELECT max(notification_id) FROM events").fetchone()
    assert row is not None
    for shard in Generations(parts.client, parts.partitions).shards:
        before = shard.progress()
        steps = [Step(one, [], text, f"bench {row[0]}") for one, text in before.items()]
        shard.apply(steps, position=row[0])
    return placed


async def _append(store: PostgresEventStore, batch: Sequence[Append]) -> None:
    await asyncio.gather(*(store.append(one) for one in batch))


def _cancellations(
    connection: "psycopg.Connection[Any]", ports: Ports, batch: Sequence[Append]
) -> Iterator[Append]:
    rows = connection.execute(
        "SELECT originator_id, topic, state FROM events"
        " WHERE originator_version = 1 AND originator_id = ANY(%s)",
        [[one.writes[0].stream.stream for one in batch]],
    )
    hashes = {stream: event_hash(stream, 1, topic, state) for stream, topic, state in rows}
    for one in batch:
        (write,) = one.writes
        placed = write.events[0][1]
        assert isinstance(placed, OrderPlaced)
        line = placed.lines[0]
        events: list[OrderEvent] = [
            OrderLinesCancelled(
                placed.order_id,
                (CancelledLine(line.line_number, line.sku, 1),),
                "changed my mind",
                CancelReason.CUSTOMER,
            )
            for _ in range(EVENTS_AN_ORDER - 1)
        ]
        request = replace(one.request, idempotency_key=None)
        yield replace(
            one,
            writes=[
                Write(
                    replace(write.stream, version=1, last_hash=hashes[write.stream.stream]),
                    address_events(events, request, ports, occurred_at=datetime.now(UTC)),
                    placed.order_id,
                )
            ],
            request=request,
        )


def _bare_read(platform: Platform) -> float:
    """Read the log, all columns, and give how long it took."""
    began = time.perf_counter()
    with (
        psycopg.connect(platform.settings["ORDERTRAIL_POSTGRES_URL"]) as connection,
        psycopg.ServerCursor(connection, "bare") as cursor,
    ):
        cursor.itersize = CURSOR_ROWS
        cursor.format = psycopg.pq.Format.BINARY
        cursor.execute(f"SELECT {COLUMNS} FROM events ORDER BY notification_id")
        for _ in cursor:
            pass
    return time.perf_counter() - began


def _rebuild(platform: Platform) -> Took:
    settings = _settings(platform)
    began: dict[str, float] = {}

    def tell(stage: str, _done: int, _total: int) -> None:
        began.setdefault(stage, time.perf_counter())

    parts = composition.rebuild_parts(*settings)
    lifecycle.drop_previous(Generations(parts.client, parts.partitions))
    start = time.perf_counter()
    with Workers(partial(composition.rebuild_parts, *settings), processes=PROCESSES) as workers:
        # Documents that nobody wrote before are a difference: of no interest here.
        report = Rebuild(parts, workers, tell).run(resume=False, accept=True)
    end = time.perf_counter()
    return Took(end - start, end - began["checking"], report.peak_kb / 1024)


def _reads(
    stack: Stack, platform: Platform, order_ids: Sequence[OrderId], effort: Effort
) -> tuple[list[float], list[float]]:
    """Read some orders over HTTP, alternately without and with a rebuild beside it."""
    headers = bearer(stack.token("service", "my-shop"))
    requests = [
        http_request("GET", f"/v1/orders/{one}", headers=headers) for one in order_ids[:READ_ORDERS]
    ]
    usual, meanwhile = [], []
    with stack.service("query-api", platform.settings) as service:
        reads = answers_per_s(service.port, lambda: cycle(requests), expected=OK)
        reads(effort.seconds)
        for _ in range(min(ROUNDS, effort.rounds)):
            usual.append(reads(effort.seconds))
            with _rebuilding(platform):
                meanwhile.append(reads(effort.seconds))
    return usual, meanwhile


@contextmanager
def _rebuilding(platform: Platform) -> Iterator[None]:
    thread = threading.Thread(target=_rebuild, args=[platform])
    thread.start()
    time.sleep(1.0)  # its processes have started by then
    yield
    thread.join()
