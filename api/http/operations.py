"""What the platform asks of a process: alive, ready, measured. No token; nothing personal."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, cast

import orjson
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, REGISTRY, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from api.http.readiness import Readiness

Refreshes: TypeAlias = Sequence[Callable[[], Awaitable[None]]]
"""What brings measurements up to date that are taken only when somebody asks."""

router = APIRouter(include_in_schema=False)


def _json(document: object, status: int = 200) -> Response:
    return Response(
        orjson.dumps(document),
        status_code=status,
        headers={"Cache-Control": "no-store"},
        media_type="application/json",
    )


@router.head("/healthz")
@router.get("/healthz")
async def healthz() -> Response:
    """Say that the process runs, whatever it depends on."""
    return _json({"status": "ok"})


@router.head("/readyz")
@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Say whether the process can serve, and what is down."""
    status, document = await cast("Readiness", request.app.state.readiness).report()
    return _json(document, status)


@router.head("/metrics")
@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Give the process's measurements in Prometheus' text format."""
    refreshes = cast("Refreshes", request.app.state.refreshes)
    await asyncio.gather(*(refresh() for refresh in refreshes))  # each may wait for a part
    return Response(generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
