"""Answers leave in one write: uvicorn writes head and body apart, each a call of the system.

What one turn of the event loop writes to a connection is sent at the turn's end. For small
answers, those calls and the client's being woken twice are a good part of the whole cost.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.problems import ProblemError, render


class CorkedTransport:
    """A transport that gathers writes; everything else is the real one's."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._chunks: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._chunks:
            self._loop.call_soon(self._flush)
        self._chunks.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._chunks:
            self._transport.write(b"".join(self._chunks))
            self._chunks.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


NOT_HTTP = render(ProblemError(400, "malformed_request", "this is no HTTP/1.1 request"))


class CorkedProtocol(HttpToolsProtocol):
    """uvicorn's protocol on corked transports; what it can't read is told as a problem, too."""

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request; uvicorn would in plain text."""
        del msg
        headers = [*NOT_HTTP.raw_headers, (b"connection", b"close")]
        head = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n%b\r\n%b" % (head, bytes(NOT_HTTP.body)))
        self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        corked = CorkedTransport(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", corked))
