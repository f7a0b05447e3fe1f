"""From acknowledged to readable in Redis, at a third of the rate that POST can take here.

Both the platform and the bare chain are loaded at that rate, and Redis tells when each document
was set. A turn is twice as long as others, for the sake of the hundredth part that is slowest.
"""

import asyncio
import re
import secrets
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
import uvloop

from infrastructure.kafka import topics
from infrastructure.local.leash import leashed
from infrastructure.local.program import inherited_environment
from infrastructure.local.service import PROJECT
from tests.bench import chain
from tests.bench.http_load import Answered
from tests.bench.http_open import at_rate, open_load
from tests.bench.http_rate import answers_per_s, bearer, place_requests
from tests.bench.report import Bar, Row
from tests.bench.rounds import Effort, interleave
from tests.bench.shown import shown_times
from tests.bench.stack import Platform, Stack
from tests.bench.views import PARTITIONS

CREATED = 201
CONNECTIONS = 64
SHARE = 1 / 3
LENGTHENED = 2
VALUE_BYTES = 1_161
CHAIN = "bare chain"
LOCATION = re.compile(rb"location: /v1/orders/([0-9a-f-]{36})")
ALL_SHOWN_WITHIN_S = 20.0

Times = Mapping[str, float]
"""By order id, seconds of `time.perf_counter`."""


def measure(stack: Stack, effort: Effort) -> Sequence[Row]:
    platform = stack.platform(kafka=True)
    requests = place_requests(bearer(stack.token("service", "my-shop")))
    with stack.service("command-api", platform.settings) as command:
        top = answers_per_s(command.port, lambda: requests, expected=CREATED)(effort.seconds)
        rate = top * SHARE
        with (
            stack.service("relay", platform.settings),
            stack.service("projector", platform.settings),
        ):
            ours = _Contender(
                platform, lambda seconds: _place(command.port, requests, rate, seconds)
            )
            bare = _Contender(platform, _chain(stack, platform, rate))
            interleave({"ours": ours, CHAIN: bare}, effort)
    notes = {"orders/s": rate, "top rate of POST": top}
    return [
        Row(
            f"acknowledged to readable, {name}",
            "ms",
            figures,
            [Bar(CHAIN, most, at_most=True)],
            notes,
        )
        for name, figures, most in (
            ("p50", {"ours": ours.p50_ms, CHAIN: bare.p50_ms}, 2.0),
            ("p99", {"ours": ours.p99_ms, CHAIN: bare.p99_ms}, 3.0),
        )
    ]


class _Contender:
    """Runs a load and keeps two quantiles of each turn but the first, which warms up."""

    def __init__(self, platform: Platform, load: Callable[[float], Times]) -> None:
        self._redis_url = platform.settings["ORDERTRAIL_REDIS_URL"]
        self._load = load
        self._warm = False
        self.p50_ms: list[float] = []
        self.p99_ms: list[float] = []

    def __call__(self, seconds: float) -> float:
        with shown_times(self._redis_url) as shown:
            acknowledged = self._load(seconds * LENGTHENED)
            until = time.perf_counter() + ALL_SHOWN_WITHIN_S
            while acknowledged.keys() - (readable := shown.first_times()).keys():
                assert time.perf_counter() < until, "orders were not shown"
                time.sleep(0.1)
        # Its document may be there before the caller has heard of the order.
        waits = [max(0.0, readable[one] - at) * 1000 for one, at in acknowledged.items()]
        quantiles = statistics.quantiles(waits, n=100)
        if self._warm:
            self.p50_ms.append(quantiles[49])
            self.p99_ms.append(quantiles[98])
        self._warm = True
        return quantiles[49]


def _place(port: int, requests: Iterator[bytes], rate: float, seconds: float) -> Times:
    """Place orders at an even rate."""
    times: dict[str, float] = {}

    def note(answered: Answered) -> None:
        found = LOCATION.search(answered.head)
        assert found is not None, answered.head
        times[found[1].decode()] = answered.at

    async def load() -> None:
        async with open_load(port, CONNECTIONS, expected=CREATED, on_answer=note) as client:
            async for _ in at_rate(rate, seconds):
                await client.send(next(requests))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(load())
    return times


def _chain(stack: Stack, platform: Platform, rate: float) -> Callable[[float], Times]:
    with psycopg.connect(platform.owner_url) as connection:
        connection.execute(chain.TABLE)
    topic = f"chain-{secrets.token_hex(4)}"
    client = topics.admin(stack.kafka)
    topics.make_topic(client, topic, partitions=PARTITIONS, replication=1)
    environment = {
        **inherited_environment(),
        chain.POSTGRES_URL: platform.owner_url,
        chain.REDIS_URL: platform.settings["ORDERTRAIL_REDIS_URL"],
        chain.BOOTSTRAP: stack.kafka,
        chain.TOPIC: topic,
        chain.VALUE_BYTES: str(VALUE_BYTES),
    }

    def run(seconds: float) -> Times:
        with _half(environment, "consume") as consuming:
            assert consuming.stdout is not None
            assert consuming.stdout.readline().strip() == chain.READY
            with _half(environment, "insert", repr(rate), repr(seconds)) as inserting:
                said, _ = inserting.communicate()
            time.sleep(1.0)  # for the last messages to be consumed
        pairs = (line.split() for line in said.splitlines())
        return {name: float(at) for name, at in pairs}

    return run


@contextmanager
def _half(environment: Mapping[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run one process of the chain until the end of the block."""
    with subprocess.Popen(
        leashed([sys.executable, "-m", "tests.bench.chain", *arguments], signal.SIGKILL),
        env=dict(environment),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
