"""A load generator that costs little: prepared requests over keep-alive connections on uvloop.

It counts statuses and takes the time of each answer; it reads no bodies.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

HEAD_END = b"\r\n\r\n"


@dataclass
class Load:
    """What came back. `seconds` holds one latency per answer, unordered."""

    duration_s: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.duration_s

    def quantile(self, q: float) -> float:
        """Give a latency quantile in seconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * q))]


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer's head in lower case, and when it was whole (`time.perf_counter`)."""

    status: int
    head: bytes
    sent_at: float
    at: float


class Connection(asyncio.Protocol):
    """A keep-alive connection: one request at a time, and `on_answer` when its answer is whole."""

    def __init__(self, on_answer: "Callable[[Connection, Answered], None]") -> None:
        self._on_answer = on_answer
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports write, and are not asyncio's class that says so.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(HEAD_END)
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 : head.find(b"\r\n", at) if b"\r\n" in head[at:] else None])
        if len(self._buffer) < end + 4 + length:
            return
        self._buffer = b""
        answered = Answered(int(head[9:12]), head, self._sent_at, time.perf_counter())
        self._on_answer(self, answered)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_exception(exc or ConnectionError("closed by the server"))

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        assert self._transport is not None
        if not self.lost.done():
            self.lost.set_result(None)
        self._transport.close()


async def connect(
    port: int, connections: int, on_answer: Callable[[Connection, Answered], None]
) -> Sequence[Connection]:
    """Open so many connections to a port of this machine."""
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(on_answer), "127.0.0.1", port)
        for _ in range(connections)
    ]
    return [connection for _, connection in made]


async def drive(port: int, requests: Iterator[bytes], *, connections: int) -> Load:
    """Send all requests over so many connections, each waiting for its answer."""
    load = Load()

    def send_next(connection: Connection) -> None:
        request = next(requests, None)
        if request is None:
            connection.close()
        else:
            connection.send(request)

    def count(connection: Connection, answered: Answered) -> None:
        load.statuses[answered.status] += 1
        load.seconds.append(answered.at - answered.sent_at)
        send_next(connection)

    opened = await connect(port, connections, count)
    started = time.perf_counter()
    for connection in opened:
        send_next(connection)
    await asyncio.gather(*(connection.lost for connection in opened))
    load.duration_s = time.perf_counter() - started
    return load


def http_request(method: str, path: str, *, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Write one HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + HEAD_END + body
