"""When documents become readable: Redis itself tells of each key that is set.

Rule: nobody polls. Whoever is measured pays for a notification per key, floor and platform alike.
"""

import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import redis

DOCUMENT = re.compile(rb"document:([0-9a-f-]{36})")
PATTERN = "__keyspace@0__:*document:*"
STRING_COMMANDS = "K$"
ID_BYTES = 45
"""`document:` and a UUID: so much of one may stand in the chunk before."""


class ShownTimes:
    """Listens in a thread, which only keeps what came and when; it is read afterwards."""

    def __init__(self, url: str) -> None:
        with redis.from_url(url) as client:
            client.config_set("notify-keyspace-events", STRING_COMMANDS)
        server = urlsplit(url)
        self._socket = socket.create_connection((server.hostname, server.port))
        self._socket.sendall(f"AUTH {server.password}\r\nPSUBSCRIBE {PATTERN}\r\n".encode())
        self._chunks: list[tuple[float, bytes]] = []
        self._thread = threading.Thread(target=self._listen, name="shown", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while data := self._socket.recv(1 << 16):
            self._chunks.append((time.perf_counter(), data))

    def first_times(self) -> Mapping[str, float]:
        """Give the first time (`time.perf_counter`) that each document was there, by its id."""
        times: dict[str, float] = {}
        before = b""
        for at, data in list(self._chunks):
            text = before + data
            for found in DOCUMENT.finditer(text):
                times.setdefault(found[1].decode(), at)
            before = text[-ID_BYTES + 1 :]
        return times

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


@contextmanager
def shown_times(url: str) -> Iterator[ShownTimes]:
    shown = ShownTimes(url)
    try:
        yield shown
    finally:
        shown.close()
