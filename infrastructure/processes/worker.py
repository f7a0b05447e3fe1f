"""What every worker process shares: it stops on SIGTERM, starts again on a fault, and can be asked.

A fault ends the work at hand and it begins again from what is durable, after a growing
pause; nothing is skipped and nothing is carried over in memory.
"""

import gc
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest

from infrastructure.observability.logging import configure_logging

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
SILENT_S = 300.0
"""Without a sign of its work for so long a worker is not ready; a sealer that has far to go takes
minutes for a round."""
GC_THRESHOLDS = (20_000, 20, 50)
"""Python's 700 looks through a batch again and again: a tenth of a relay's time."""

_log = structlog.get_logger(__name__)
_faults = Counter("ordertrail_worker_faults", "Faults after which the work began again", ["kind"])


class Health:
    """What a worker says of itself: ready while its work goes on, and otherwise why not.

    Also where it can't say so any more, as it waits for what never answers.
    """

    def __init__(self) -> None:
        self._problem: str | None = "starting"
        self._good_at = 0.0

    def good(self) -> None:
        self._good_at = time.monotonic()
        self._problem = None

    def bad(self, problem: str) -> None:
        self._problem = problem

    @property
    def problem(self) -> str | None:
        silent_s = time.monotonic() - self._good_at
        if self._problem is None and silent_s > SILENT_S:
            return f"its work has not gone on for {silent_s:.0f} s"
        return self._problem


Work: TypeAlias = Callable[[threading.Event, Health], None]


def run_worker(name: str, work: Work, *, host: str, port: int) -> None:
    """Run `work` until SIGTERM or SIGINT, again after each fault; serve health on `port`."""
    configure_logging(name)
    stopping = threading.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: stopping.set())
    health = Health()
    # What is there before the first batch stays: there is no use in looking through it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    with _serving(health, host, port):
        _work_until(stopping, work, health)
    _log.info("stopped")


def _work_until(stopping: threading.Event, work: Work, health: Health) -> None:
    pause_s = FIRST_PAUSE_S
    while not stopping.is_set():
        try:
            work(stopping, health)
        except Exception as error:  # noqa: BLE001
            # The one place where a worker's fault is caught: it is counted, told, and undone
            # by beginning again from the durable position.
            pause_s = FIRST_PAUSE_S if health.problem is None else pause_s
            health.bad(f"{type(error).__name__}: {error}"[:300])
            _faults.labels(type(error).__name__).inc()
            _log.warning("work_begins_again", reason=type(error).__name__, detail=str(error)[:300])
        else:
            pause_s = FIRST_PAUSE_S
            continue
        # What the error held on to has threads of its own: clients of Kafka, pools of connections.
        gc.collect()
        stopping.wait(pause_s)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


class _HealthServer(ThreadingHTTPServer):
    def handle_error(self, _request: object, _client_address: object) -> None:
        """Log a fault as any other; who asked and went away is none."""
        if not isinstance(sys.exception(), ConnectionError):
            _log.exception("health_request_failed")


@contextmanager
def _serving(health: Health, host: str, port: int) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._send(200, generate_latest(), CONTENT_TYPE_LATEST)
            elif self.path == "/healthz":
                self._send(200, b'{"status":"alive"}', "application/json")
            elif self.path == "/readyz":
                problem = health.problem
                answer = (
                    {"status": "ready"}
                    if problem is None
                    else {"status": "unavailable", "problem": problem}
                )
                status = 200 if problem is None else 503
                self._send(status, json.dumps(answer).encode(), "application/json")
            else:
                self._send(404, b"", "text/plain")

        def _send(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent: whoever asks for health asks every second."""

    server = _HealthServer((host, port), Handler)
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
