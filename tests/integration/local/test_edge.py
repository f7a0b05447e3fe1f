"""The edge routes by method, waits for nobody too long, and speaks problem+json when it must."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from infrastructure.local.edge import Edge
from infrastructure.local.ports import LOOPBACK, free_port
from infrastructure.local.program import running

from .stand_in_platform import StandIn


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Run the edge in front of a command service; the query service is down."""
    folder = tmp_path_factory.mktemp("edge")
    commands = StandIn("command-api", free_port())
    program = Edge(free_port(), commands.port, free_port(), folder / "data")
    with running(commands, folder / "service.log"), running(program, folder / "edge.log"):
        yield program


def _ask(
    edge: Edge, method: str, path: str, body: bytes | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, edge.port, timeout=10)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/orders"), ("GET", "/openapi/commands.json")],
)
def test_writes_and_their_definition_go_to_the_command_api(
    edge: Edge, method: str, path: str
) -> None:
    response, body = _ask(edge, method, path, b"{}" if method == "POST" else None)
    assert response.status == 200
    assert body.decode().startswith(f"{edge.command_port} {method} {path}")


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/x?secret=1", "/openapi/queries.json"])
def test_a_service_that_is_down_is_a_problem_with_retry_after(edge: Edge, path: str) -> None:
    response, body = _ask(edge, "GET", path)
    assert response.status == 503
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Retry-After"] == "1"
    problem = json.loads(body)
    assert problem["status"] == 503
    assert problem["code"] == "upstream_unavailable"
    assert problem["type"] == "urn:ordertrail:problem:upstream_unavailable"


def test_a_body_beyond_every_limit_is_refused_at_the_edge(edge: Edge) -> None:
    response, body = _ask(edge, "POST", "/v1/orders", b"x" * 3_000_000)
    assert response.status == 413
    assert response.headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["code"] == "body_too_large"


def test_the_edge_is_ready_while_a_service_is_down(edge: Edge) -> None:
    assert edge.ready()


@pytest.fixture
async def streaming(tmp_path: Path) -> AsyncIterator[Edge]:
    """Run the edge in front of a service that sends one event, and then holds or cuts."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await writer.drain()
        if b"cut-short" not in request:
            await reader.read()
        writer.close()

    port = free_port()
    async with await asyncio.start_server(serve, LOOPBACK, port):
        program = Edge(free_port(), port, port, tmp_path / "data")
        context = running(program, tmp_path / "edge.log")
        await asyncio.to_thread(context.__enter__)
        yield program
        await asyncio.to_thread(context.__exit__, None, None, None)


async def test_what_a_service_sends_passes_at_once(streaming: Edge) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, streaming.port)
    writer.write(b"GET /v1/events HTTP/1.1\r\nHost: here\r\n\r\n")
    async with asyncio.timeout(3):
        assert (await reader.readuntil(b"first")).startswith(b"HTTP/1.1 200 OK")
    writer.close()
    await writer.wait_closed()


async def test_a_service_that_hangs_is_a_problem_with_retry_after(tmp_path: Path) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    port = free_port()
    async with await asyncio.start_server(say_nothing, LOOPBACK, port):
        edge = Edge(free_port(), port, port, tmp_path / "data", answer_within_s=1)

        def ask() -> tuple[http.client.HTTPResponse, bytes]:
            with running(edge, tmp_path / "edge.log"):
                return _ask(edge, "POST", "/v1/orders", b"{}")

        response, body = await asyncio.to_thread(ask)
    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert json.loads(body)["code"] == "upstream_unavailable"


async def test_the_log_tells_a_failure_without_the_query_string(streaming: Edge) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, streaming.port)
    writer.write(b"GET /v1/cut-short?external_reference=somebody HTTP/1.1\r\nHost: here\r\n\r\n")
    async with asyncio.timeout(3):
        await reader.read()
    writer.close()
    await writer.wait_closed()
    log = (streaming.data_dir.parent / "edge.log").read_text()
    assert "/v1/cut-short" in log
    assert "somebody" not in log
