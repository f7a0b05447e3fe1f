"""A load generator that costs little: prepared requests over keep-alive connections on uvloop.

It counts statuses and takes the time of each answer; it reads no bodies.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
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


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last one is complete."""

    def __init__(self, requests: Iterator[bytes], load: Load, done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._load = load
        self._done = done
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports write, and are not asyncio's class that says so.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._send()

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
        self._load.statuses[int(head[9:12])] += 1
        self._load.seconds.append(time.perf_counter() - self._sent_at)
        self._buffer = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("closed by the server"))

    def _send(self) -> None:
        assert self._transport is not None
        request = next(self._requests, None)
        if request is None:
            if not self._done.done():
                self._done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


async def drive(port: int, requests: Iterator[bytes], *, connections: int) -> Load:
    """Send all requests over so many connections, each waiting for its answer."""
    load, loop = Load(), asyncio.get_running_loop()
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    started = time.perf_counter()
    for end in ends:
        await loop.create_connection(partial(_Connection, requests, load, end), "127.0.0.1", port)
    await asyncio.gather(*ends)
    load.duration_s = time.perf_counter() - started
    return load


def http_request(method: str, path: str, *, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Write one HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + HEAD_END + body
