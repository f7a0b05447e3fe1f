"""The APIs' access log: what `configure_logging` would write, at a turn's end."""

import asyncio
import json
import os
from typing import Any

import pytest
import structlog

from infrastructure.observability.access_log import AccessLog
from infrastructure.observability.logging import configure_logging

LINE = {"method": "GET", "route": "/x", "status": 200, "duration_ms": 0.25, "role": None}


def written(lines: int) -> list[dict[str, Any]]:
    """Log so many requests within one turn of the loop, and read what came out."""
    reading, writing = os.pipe()

    async def log() -> None:
        access_log = AccessLog("query-api", writing)
        with structlog.contextvars.bound_contextvars(correlation_id='a"b'):
            for _ in range(lines):
                access_log(LINE)
        await asyncio.sleep(0)

    asyncio.run(log())
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return [json.loads(line) for line in pipe.read().splitlines()]


def test_each_request_has_a_line_of_its_own() -> None:
    assert len(written(3)) == 3


def test_a_line_is_as_any_other_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = written(1)
    configure_logging("query-api")
    try:
        with structlog.contextvars.bound_contextvars(correlation_id='a"b'):
            structlog.get_logger("x").info("request", **LINE)
    finally:
        structlog.reset_defaults()
    other = json.loads(capsys.readouterr().out)
    assert line.pop("timestamp")[:10] == other.pop("timestamp")[:10]
    assert line == other
