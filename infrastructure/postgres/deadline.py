"""An end to waiting for a server that hangs: the connection is hung up from our side.

psycopg has no time-out for a statement, and canceling one asks the same server for help. With the
line cut, whoever waits on the connection gets an OperationalError, as after any lost connection.
"""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg


class ServerHangsError(psycopg.OperationalError):
    """No answer within the time; whether the statement was carried out is not known."""


@contextmanager
def deadline(connection: psycopg.AsyncConnection[Any], seconds: float) -> Iterator[None]:
    """Bound the statements of a block. The connection is of no use after it was hung up.

    Raises:
        ServerHangsError: the block did not end in time.
    """
    hung_up = False

    def hang_up() -> None:
        nonlocal hung_up
        hung_up = True
        if not connection.closed:
            with socket.socket(fileno=os.dup(connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    timer = asyncio.get_running_loop().call_later(seconds, hang_up)
    try:
        yield
    except psycopg.Error as error:
        if hung_up:
            raise ServerHangsError(f"no answer in {seconds:.0f} s") from error
        raise
    finally:
        timer.cancel()
