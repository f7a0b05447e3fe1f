"""What the APIs are measured beside: small servers that do one thing, as one would write them.

`python -m tests.bench.floors NAME PORT`, settings from the environment. Rule: a floor is as
lean as it can be, with uvicorn's quickest parts and nothing of ours but the request's model.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import redis.asyncio
import uuid_utils.compat
import uvicorn
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from psycopg.conninfo import conninfo_to_dict
from starlette.types import ASGIApp, Receive, Scope, Send

from api.order.schemas import PlaceOrderBody

STOCK_SCHEMA = "stock"
STOCK_POOL = 8
BODY_BYTES = "BENCH_BODY_BYTES"
REDIS_URL = "BENCH_REDIS_URL"
POSTGRES_URL = "BENCH_POSTGRES_URL"
ANSWER = {"order_id": "0" * 36, "order_number": "0" * 11, "version": 1, "position": 1}


def validates() -> ASGIApp:
    """POST that only validates the body."""
    app = FastAPI()

    @app.post("/v1/orders", status_code=201)
    async def place(body: PlaceOrderBody) -> dict[str, Any]:
        return {**ANSWER, "status": body.currency}

    return app


def stock_recorder() -> ASGIApp:
    """POST that validates the body and stores it as one event, unsealed, by the stock recorder."""
    recorder = open_stock_recorder(os.environ[POSTGRES_URL], pool_size=STOCK_POOL)
    app = FastAPI()

    @app.post("/v1/orders", status_code=201)
    async def place(body: PlaceOrderBody, request: Request) -> dict[str, Any]:
        stream = f"order-{uuid_utils.compat.uuid7()}"
        event = StoredEvent(stream, 1, "order.placed.v2", await request.body())
        await run_in_threadpool(recorder.insert_events, [event])
        return {**ANSWER, "status": body.currency}

    return app


def constant() -> ASGIApp:
    """GET of a constant, by FastAPI."""
    app, body = FastAPI(), bytes(int(os.environ[BODY_BYTES]))

    @app.get("/v1/orders/{order_id}")
    async def get(order_id: str) -> Response:  # noqa: ARG001  # a route as ours has it
        return Response(body, media_type="application/json")

    return app


def bare_constant() -> ASGIApp:
    """GET of a constant, without any framework."""
    body = bytes(int(os.environ[BODY_BYTES]))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    end = {"type": "http.response.body", "body": body}

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start)
        await send(end)

    return app


def redis_get() -> ASGIApp:
    """GET of a Redis key, by FastAPI and redis.asyncio, without token or ownership."""
    client = redis.asyncio.from_url(os.environ[REDIS_URL])
    app = FastAPI()

    @app.get("/v1/orders/{key:path}")
    async def get(key: str) -> Response:
        value: Any = await client.get(key)
        return Response(value, media_type="application/json")

    return app


FLOORS: Mapping[str, Callable[[], ASGIApp]] = {
    "validates": validates,
    "stock_recorder": stock_recorder,
    "constant": constant,
    "bare_constant": bare_constant,
    "redis_get": redis_get,
}


def open_stock_recorder(postgres_url: str, *, pool_size: int) -> PostgresApplicationRecorder:
    """Open the library's own recorder, on a table of its own in a schema of its own."""
    parts = conninfo_to_dict(postgres_url)
    datastore = PostgresDatastore(
        dbname=str(parts["dbname"]),
        host=str(parts["host"]),
        port=str(parts["port"]),
        user=str(parts["user"]),
        password=str(parts["password"]),
        schema=STOCK_SCHEMA,
        pool_size=pool_size,
        originator_id_type="text",
    )
    with datastore.get_connection() as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {STOCK_SCHEMA}")
    recorder = PostgresApplicationRecorder(datastore, events_table_name="stored_events")
    recorder.create_table()
    return recorder


def main() -> None:
    name, port = sys.argv[1:]
    uvicorn.run(
        FLOORS[name](),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
