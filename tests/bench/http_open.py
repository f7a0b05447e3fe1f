"""An open load: requests are sent when the caller says, however long the answers take."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from tests.bench.http_load import Answered, Connection, connect

DRAIN_S = 10.0


class OpenLoad:
    """Connections to one port, any idle one of which takes the next request."""

    def __init__(self, expected: int, on_answer: Callable[[Answered], None]) -> None:
        self.statuses: Counter[int] = Counter()
        self._expected = expected
        self._on_answer = on_answer
        self._idle: deque[Connection] = deque()
        self._freed = asyncio.Event()
        self._size = 0

    async def open(self, port: int, connections: int) -> None:
        self._idle.extend(await connect(port, connections, self._answered))
        self._size = connections

    async def send(self, request: bytes) -> None:
        """Send over a connection that is idle, or wait for one. Returns before the answer."""
        while not self._idle:
            self._freed.clear()
            await self._freed.wait()
        self._idle.popleft().send(request)

    async def close(self) -> None:
        """Wait for what is under way. Raises RuntimeError if anything was answered otherwise."""
        async with asyncio.timeout(DRAIN_S):
            while len(self._idle) < self._size:
                self._freed.clear()
                await self._freed.wait()
        for connection in self._idle:
            connection.close()
        if set(self.statuses) - {self._expected}:
            raise RuntimeError(f"answers were {dict(self.statuses)}")

    def _answered(self, connection: Connection, answered: Answered) -> None:
        self.statuses[answered.status] += 1
        self._on_answer(answered)
        self._idle.append(connection)
        self._freed.set()


@asynccontextmanager
async def open_load(
    port: int, connections: int, *, expected: int, on_answer: Callable[[Answered], None]
) -> AsyncIterator[OpenLoad]:
    load = OpenLoad(expected, on_answer)
    await load.open(port, connections)
    yield load
    await load.close()


async def at_rate(per_s: float, seconds: float) -> AsyncIterator[None]:
    """Come round at even distances; what is late comes at once, so that the rate holds."""
    for due in due_times(per_s, seconds):
        early_s = due - time.perf_counter()
        if early_s > 0:
            await asyncio.sleep(early_s)
        yield


def due_times(per_s: float, seconds: float) -> Iterator[float]:
    """Give the times (`time.perf_counter`) of an even rate that begins now."""
    started = time.perf_counter()
    for number in range(round(per_s * seconds)):
        yield started + number / per_s
