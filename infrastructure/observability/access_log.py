"""The APIs' access log: the lines that `configure_logging` would write, for a tenth of the time.

One line a request is most of what an API logs. So these are written without structlog's chain,
and those of one turn of the event loop in one call. Nothing is held back longer than that.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
import structlog

_token = structlog.contextvars.bind_contextvars(correlation_id=None)["correlation_id"]
_correlation = _token.var
"""Where structlog keeps what is bound as `correlation_id`, all that an API binds."""
_correlation.reset(_token)


class AccessLog:
    """Writes lines to standard output from within a running event loop."""

    def __init__(self, service: str, descriptor: int | None = None) -> None:
        self._service = service
        self._descriptor = sys.stdout.fileno() if descriptor is None else descriptor
        self._lines: list[bytes] = []

    def __call__(self, line: Mapping[str, object]) -> None:
        """Log one request; the correlation id in structlog's context is in the line."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        name = _correlation.get(...)
        fields = {
            "service": self._service,
            **({} if name is ... else {"correlation_id": name}),
            **line,
            "level": "info",
            "timestamp": datetime.now(UTC),
            "message": "request",
        }
        self._lines.append(
            orjson.dumps(fields, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
        )

    def _write(self) -> None:
        data = b"".join(self._lines)
        self._lines.clear()
        while data:
            data = data[os.write(self._descriptor, data) :]
