"""Run an app until SIGTERM: requests in flight finish, idle connections close, and we return.

uvicorn would raise the signal again after its shutdown, and so end the process by it; here the
caller still has resources to close, and the process ends with code 0.
"""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from typing import Any, cast

import structlog
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.http.corked import CorkedProtocol
from api.http.headers import sent_raw

GRACE_S = 10
EDGES = ["127.0.0.1", "::1"]
KEEP_ALIVE_S = 5
"""The edge gives up an idle connection sooner, so that it never sends into one being closed."""
GC_THRESHOLDS = (20_000, 20, 50)
"""Python's 700 looks through the requests in flight again and again: a tenth of a read's time."""

_log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Ask for a stop on a signal, and leave it at that."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.handle_exit, name, None)
        try:
            yield
        finally:
            for name in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(name)


def _told_by_the_edge(app: ASGIApp) -> ASGIApp:
    """Let the edge say for whom it asks; a request that it says nothing of goes straight on."""
    told = cast("ASGIApp", ProxyHeadersMiddleware(cast("Any", app), EDGES))

    def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        is_told = sent_raw(scope, b"x-forwarded-for") or sent_raw(scope, b"x-forwarded-proto")
        return (told if is_told else app)(scope, receive, send)

    return serve


async def serve_until_stopped(app: FastAPI, *, host: str, port: int) -> None:
    """Serve HTTP on this address. Returns after SIGTERM or SIGINT, `GRACE_S` seconds at most."""
    config = uvicorn.Config(
        _told_by_the_edge(app),
        host=host,
        port=port,
        http=CorkedProtocol,
        interface="asgi3",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    # What is there before the first request stays: there is no use in looking through it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    await _Server(config).serve()
    _log.info("stopped")
