"""Answers leave in one write: uvicorn writes head and body apart, each a call of the system.

What one turn of the event loop writes is sent at the turn's end, to all connections one after the
other: for small answers, those calls and waking who is asleep for each are a good part of the cost.
"""

import asyncio
from typing import Any, cast
from weakref import WeakKeyDictionary

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from api.http.problems import ProblemError, render
from api.http.whole import WHOLE

NOT_HTTP = render(ProblemError(400, "malformed_request", "this is no HTTP/1.1 request"))


class Cork:
    """Holds what transports have to send, all of them, until the turn of the loop ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._held: list[CorkedTransport] = []

    def hold(self, transport: "CorkedTransport") -> None:
        if not self._held:
            self._loop.call_soon(self._pull)
        self._held.append(transport)

    def _pull(self) -> None:
        held, self._held = self._held, []
        for transport in held:
            transport.flush()


class CorkedTransport:
    """A transport that gathers writes; everything else is the real one's."""

    def __init__(self, transport: asyncio.Transport, cork: Cork) -> None:
        self._transport = transport
        self._cork = cork
        self._chunks: list[bytes] = []
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if not self._chunks:
            self._cork.hold(self)
        self._chunks.append(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Send what was written."""
        if self._chunks:
            self._transport.write(b"".join(self._chunks))
            self._chunks.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


_corks: "WeakKeyDictionary[asyncio.AbstractEventLoop, Cork]" = WeakKeyDictionary()


class CorkedProtocol(HttpToolsProtocol):
    """uvicorn's protocol on corked transports; what it can't read is told as a problem, too.

    An idle connection is closed by one timer, which looks when it goes off how long the
    connection has been idle; uvicorn's would be made anew for each answer.
    """

    _idle_since: float | None = None
    """None: a request is under way."""

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request; uvicorn would in plain text."""
        del msg
        headers = [*NOT_HTTP.raw_headers, (b"connection", b"close")]
        head = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n%b\r\n%b" % (head, bytes(NOT_HTTP.body)))
        self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cork = _corks.get(self.loop) or _corks.setdefault(self.loop, Cork(self.loop))
        corked = CorkedTransport(cast("asyncio.Transport", transport), cork)
        super().connection_made(cast("asyncio.Transport", corked))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        async def send(message: Any) -> None:
            if message["type"] == WHOLE:
                await _answer_whole(cycle, message)
            else:
                await cycle.send(message)

        cast("Any", cycle.scope)["extensions"] = EXTENSIONS
        super()._start_asgi_task(cycle, lambda scope, receive, _send: app(scope, receive, send))

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_in(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has been idle for too long, else look again when it may be."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # the end of that request sets the timer again
        left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._look_in(left_s)
        else:
            super().timeout_keep_alive_handler()

    def _look_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )


EXTENSIONS: dict[str, dict[object, object]] = {WHOLE: {}}


async def _answer_whole(cycle: RequestResponseCycle, message: Any) -> None:
    """Do what `cycle.send` does of a head and a body."""
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    if cycle.response_started:
        raise RuntimeError("a whole answer after the beginning of another")
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    lines = [b"%b: %b\r\n" % pair for pair in (*cycle.default_headers, *message["headers"])]
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    body = b"" if cycle.scope["method"] == "HEAD" else message["body"]
    cycle.transport.write(b"".join([STATUS_LINE[message["status"]], *lines, b"\r\n", body]))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
