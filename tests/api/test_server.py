"""A real process on a real socket: it finishes what it has begun, and ends with code 0."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from infrastructure.local.ports import free_port

PROGRAM = """
import asyncio, sys
from fastapi import FastAPI, Request
from api.http import server
from api.http.ready_json import ReadyJson
from api.http.server import serve_until_stopped
server.KEEP_ALIVE_S = 1
app = FastAPI()
@app.get("/slow")
async def slow():
    await asyncio.sleep(0.7)
    return "done"
@app.get("/client")
async def client(request: Request):
    return request.client.host
@app.api_route("/ready", methods=["GET", "HEAD"])
async def ready():
    return ReadyJson(b'{"is":1}', [(b"etag", b'"1"')], status_code=201)
asyncio.run(serve_until_stopped(app, host="127.0.0.1", port=int(sys.argv[1])))
"""


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def process(port: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(port)]) as process:
        _wait_for(port)
        yield process
        process.kill()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_answered_and_the_process_ends_with_code_0(
    process: subprocess.Popen[bytes], port: int, name: signal.Signals
) -> None:
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    idle.request("GET", "/client")
    idle.getresponse().read()
    answers: list[bytes] = []
    waiting = threading.Thread(target=lambda: answers.append(_get(port, "/slow")[1]))
    waiting.start()
    time.sleep(0.3)
    process.send_signal(name)
    assert process.wait(timeout=5) == 0
    waiting.join()
    assert answers == [b'"done"']
    idle.close()


def test_the_edge_may_say_for_whom_it_asks_and_the_server_does_not_name_itself(
    process: subprocess.Popen[bytes], port: int
) -> None:
    headers, body = _get(port, "/client", {"X-Forwarded-For": "203.0.113.9"})
    assert body == b'"203.0.113.9"'
    assert "server" not in headers
    assert process.poll() is None


@pytest.mark.parametrize("request_line", [b"FOO /client HTTP/1.1", b"GET", b"\x16\x03\x01"])
def test_what_is_no_request_is_told_as_a_problem(
    process: subprocess.Popen[bytes], port: int, request_line: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request_line + b"\r\nHost: here\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == "malformed_request"
    assert process.poll() is None


def _exchange(port: int, sent: bytes, *, until: bytes = b"") -> bytes:
    """Send this, and read until the answers hold `until` or the server hangs up."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(sent)
        while not until or until not in got:
            chunk = connection.recv(4096)
            if not chunk:
                break
            got += chunk
    return got


def test_a_whole_answer_is_as_one_of_head_and_body(
    process: subprocess.Popen[bytes], port: int
) -> None:
    head, _, body = _exchange(
        port, b"GET /ready HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    ).partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    assert (status, body) == (b"HTTP/1.1 201 Created", b'{"is":1}')
    assert lines[0].startswith(b"date: ")
    assert lines[1:] == [
        b"content-type: application/json",
        b"content-length: 8",
        b'etag: "1"',
        b"connection: close",
    ]
    assert process.poll() is None


def test_whole_answers_keep_the_order_of_their_requests_and_head_has_no_body(
    process: subprocess.Popen[bytes], port: int
) -> None:
    requests = [
        b"%b %b HTTP/1.1\r\nHost: here\r\n\r\n" % line
        for line in ((b"HEAD", b"/ready"), (b"GET", b"/client"), (b"GET", b"/ready"))
    ]
    got = _exchange(port, b"".join(requests), until=b'{"is":1}')
    assert got.count(b"HTTP/1.1 ") == 3
    assert got.index(b"HTTP/1.1 200") > got.index(b"HTTP/1.1 201")
    assert got.count(b'{"is":1}') == 1
    assert process.poll() is None


def test_a_connection_is_closed_once_it_has_been_idle_for_long_enough(
    process: subprocess.Popen[bytes], port: int
) -> None:
    request = b"GET /ready HTTP/1.1\r\nHost: here\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for _ in range(3):
            connection.sendall(request)
            assert connection.recv(4096).endswith(b'{"is":1}')
            time.sleep(0.6)
        last = time.monotonic()
        connection.sendall(request)
        assert connection.recv(4096).endswith(b'{"is":1}')
        assert connection.recv(4096) == b""
        assert 0.9 < time.monotonic() - last < 3
    assert process.poll() is None


def _get(
    port: int, path: str, headers: dict[str, str] | None = None
) -> tuple[dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return {n.lower(): v for n, v in response.getheaders()}, response.read()
    finally:
        connection.close()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)
        else:
            return
