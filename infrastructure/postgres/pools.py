"""Pools of connections to PostgreSQL's primary, which are there again soon after it is."""

from typing import Any

import psycopg
from psycopg.rows import RowFactory, tuple_row
from psycopg_pool import AsyncConnectionPool

CONNECT_TIMEOUT_S = 2
RECONNECT_TIMEOUT_S = 5.0
"""A pool tries at longer and longer intervals; once it gave up, who asks begins with short ones."""
PRIMARY = "read-write"
"""As `target_session_attrs`: no standby, and no primary that is one no more; they may know less."""


def async_pool(
    postgres_url: str, *, size: int, timeout_s: float, row_factory: RowFactory[Any] = tuple_row
) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
    """Make a pool, to be opened as a context manager; it opens while the database is away, too.

    Raises (in use): psycopg_pool.PoolTimeout: no connection was free or could be made in time.
    """
    return AsyncConnectionPool(
        postgres_url,
        kwargs={
            "autocommit": True,
            "row_factory": row_factory,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "target_session_attrs": PRIMARY,
        },
        min_size=1,
        max_size=size,
        timeout=timeout_s,
        reconnect_timeout=RECONNECT_TIMEOUT_S,
        open=False,
    )
