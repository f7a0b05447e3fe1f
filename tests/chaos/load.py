"""Orders, cancellations and readers for as long as a drill lasts, and what they saw.

Rules that are watched all the time: what was acknowledged is never a 404; nobody sees an order
older than anybody had seen it before asking; every refusal is a 503 that says when to come back.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_aiohttp import HttpxAiohttpClient

from tests.live_platform import LivePlatform
from tests.shop import an_order

PER_S = 50
CANCELLED_SHARE = 0.1
READERS = 4
READ_AT_ONCE = 20
READ_PAUSE_S = 0.02
RETRY_S = 0.2
PATIENCE_S = 60.0
"""How long a request is tried again until the drill has failed."""
REQUEST_TIMEOUT_S = 20.0
PROBLEM = "application/problem+json"


@dataclass
class Seen:
    """What callers were told.

    Attributes:
        placed: acknowledged orders: key -> (body sent, answer).
        cancelled: ids of orders whose cancellation was acknowledged.
        faults: everything that must not be, in words.
        refusals: how often what was answered or broke, by caller, over the whole drill.
        sources: single reads by where they came from.
    """

    placed: dict[str, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    slowest_s: dict[str, float] = field(default_factory=dict)

    def took(self, what: str, seconds: float) -> None:
        self.slowest_s[what] = max(self.slowest_s.get(what, 0.0), seconds)

    def __str__(self) -> str:
        slowest = {what: round(seconds, 2) for what, seconds in self.slowest_s.items()}
        return (
            f"{len(self.placed)} placed, {len(self.cancelled)} cancelled,"
            f" read {dict(self.sources)}, refused {dict(self.refusals)}, slowest {slowest} s"
        )


class Traffic:
    """One shop's writers and readers against the edge; readers against others too, if given."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        draw: random.Random,
        *,
        per_s: int = PER_S,
        reading: Sequence[str] = ("",),
    ) -> None:
        """Take how many orders to place a second, and the URLs that readers share out."""
        self.seen = Seen()
        self._client = client
        self._per_s = per_s
        self._reading = reading
        self._run = f"{draw.getrandbits(32):08x}"
        # Its own: what it draws depends on time, and the drill's draws must not depend on that.
        self._draw = random.Random(f"{self._run}-writer")
        self._known: list[str] = []
        self._newest: dict[str, int] = {}  # the newest position that anybody has been shown
        self._stopping = asyncio.Event()
        self._acknowledged = asyncio.Event()

    async def run(self) -> None:
        """Write and read until `stop`; return when every order is acknowledged."""
        writing = [asyncio.create_task(self._write())]
        reading = [asyncio.create_task(self._read(n)) for n in range(READERS)]
        await asyncio.gather(*writing, *reading)

    def stop(self) -> None:
        self._stopping.set()

    async def until_placed(self, orders: int) -> None:
        """Wait until so many orders are acknowledged."""
        while len(self.seen.placed) < orders:
            self._acknowledged.clear()
            await self._acknowledged.wait()

    async def replay_some(self, count: int) -> None:
        """Send acknowledged orders once more: each is the same order still."""
        keys = sorted(self.seen.placed)
        for key in self._draw.sample(keys, min(count, len(keys))):
            body, first = self.seen.placed[key]
            again = await self._post("/v1/orders", body, key)
            if again != first:
                self.seen.faults.append(f"{key} was {first} and is now {again}")

    async def _write(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        number = 0
        loop = asyncio.get_running_loop()
        started = loop.time()
        while not self._stopping.is_set():
            tasks.add(asyncio.create_task(self._place(number)))
            number += 1
            if self._known and self._draw.random() < CANCELLED_SHARE:
                tasks.add(asyncio.create_task(self._cancel(self._draw.choice(self._known))))
            tasks = {task for task in tasks if not task.done()}
            await asyncio.sleep(max(0.0, started + number / self._per_s - loop.time()))
        await asyncio.gather(*tasks)

    async def _place(self, number: int) -> None:
        key = f"{self._run}-{number}"
        body = an_order(f"c-{number % 50}", external_reference=key)
        answer = await self._post("/v1/orders", body, key)
        self.seen.placed[key] = (body, answer)
        self._acknowledged.set()
        self._known.append(answer["order_id"])

    async def _cancel(self, order_id: str) -> None:
        if order_id in self.seen.cancelled:
            return
        path = f"/v1/orders/{order_id}/cancellations"
        self.seen.cancelled.add(order_id)
        await self._post(path, {"reason": "a drill"}, f"{self._run}-cancel-{order_id}")

    async def _post(self, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        """Send until it is acknowledged, always under the same key."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() < began + PATIENCE_S:
            try:
                answer = await self._client.post(path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError as error:
                self.seen.refusals[f"write: {type(error).__name__}"] += 1
            else:
                if answer.status_code == 201:
                    self.seen.took("write", loop.time() - began)
                    return dict(answer.json())
                self._refused("write", answer)
            await asyncio.sleep(RETRY_S)
        raise AssertionError(f"{path} with {key} was not acknowledged in {PATIENCE_S} s")

    async def _read(self, reader: int) -> None:
        mine: dict[str, int] = {}
        draw = random.Random(f"{self._run}-{reader}")
        while not self._stopping.is_set():
            await asyncio.sleep(READ_PAUSE_S)
            if self._known:
                # Mostly young orders: with those there is something to get wrong.
                young = draw.random() < 0.7
                order_id = draw.choice(self._known[-100:] if young else self._known)
                await self._read_one(draw.choice(self._reading), order_id, mine)

    async def read_all(self) -> None:
        """Read every acknowledged order once more, wherever readers read."""
        known = list(self._known)
        for url in self._reading:
            for begin in range(0, len(known), READ_AT_ONCE):
                batch = known[begin : begin + READ_AT_ONCE]
                await asyncio.gather(*(self._read_one(url, one, {}) for one in batch))

    async def _read_one(self, url: str, order_id: str, mine: dict[str, int]) -> None:
        loop = asyncio.get_running_loop()
        floor, own_floor, began = self._newest.get(order_id, 0), mine.get(order_id, 0), loop.time()
        try:
            answer = await self._client.get(f"{url}/v1/orders/{order_id}")
        except httpx.TransportError as error:
            self.seen.refusals[f"read: {type(error).__name__}"] += 1
            return
        self.seen.took("read", loop.time() - began)
        if answer.status_code != 200:
            self._refused("read", answer)
            return
        position, source = answer.json()["position"], answer.headers["order-view"]
        self.seen.sources[source] += 1
        if position < floor:
            who = "the same reader" if position < own_floor else "another reader"
            self.seen.faults.append(
                f"{order_id} went back from {floor} (seen by {who}) to {position}, from {source}"
            )
        mine[order_id] = max(mine.get(order_id, 0), position)
        self._newest[order_id] = max(self._newest.get(order_id, 0), position)

    def _refused(self, what: str, answer: httpx.Response) -> None:
        """Count a refusal; any but a 503 that says when to come back is a fault."""
        kind, headers = f"{what}: {answer.status_code}", answer.headers
        if headers.get("content-type") == PROBLEM:
            kind += f" {answer.json()['code']}"
        self.seen.refusals[kind] += 1
        if answer.status_code != 503 or headers.get("content-type") != PROBLEM:
            self.seen.faults.append(f"{what} got {answer.status_code}: {answer.text[:300]}")
        elif "retry-after" not in headers:
            self.seen.faults.append(f"{what} got a 503 without Retry-After: {answer.text[:300]}")


@asynccontextmanager
async def traffic(
    platform: LivePlatform,
    draw: random.Random,
    *,
    per_s: int = PER_S,
    reading: Sequence[str] = ("",),
) -> AsyncIterator[Traffic]:
    """Have orders come in for as long as the block lasts; then every one is acknowledged."""
    async with HttpxAiohttpClient(
        base_url=platform.url,
        headers={"Authorization": f"Bearer {platform.token('service', 'drill')}"},
        timeout=REQUEST_TIMEOUT_S,
        limits=httpx.Limits(max_connections=500),
        trust_env=False,
    ) as client:
        started = Traffic(client, draw, per_s=per_s, reading=reading)
        running = asyncio.create_task(started.run())
        try:
            yield started
        except BaseException:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            raise
        started.stop()
        await running
        await started.replay_some(20)
