"""The sandbox under watch: what is asked of it, when it answers, and where a process dies of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg.rows import dict_row

from infrastructure.payments.sandbox import SandboxGateway
from tests.agreement import assert_agreement, read_books
from tests.integration.services.town import Town


class CutOffError(BaseException):
    """What a process dies of, as far as a test goes."""


class Watched:
    """The sandbox's gateway, and what was asked of it.

    Attributes:
        asked: names of the calls, in their order.
        cut: calls after which the process dies, once each: done there, and not stored here.
        gate: a call to authorize with `tok_slow` waits for it.
    """

    name = "sandbox"

    def __init__(self, sandbox: SandboxGateway) -> None:
        sandbox._slow_s = 0
        self.sandbox = sandbox
        self.asked: list[str] = []
        self.cut: set[str] = set()
        self.gate = asyncio.Event()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def ask(**what: Any) -> Any:
            self.asked.append(name)
            if what.get("token") == "tok_slow":
                await self.gate.wait()
            answer = await getattr(self.sandbox, name)(**what)
            if name in self.cut:
                self.cut.remove(name)
                raise CutOffError(name)
            return answer

        return ask


async def agree(town: Town, database_url: str) -> dict[str, int]:
    books = await read_books(database_url, town.ports)
    assert_agreement(books)
    return dict(books.statuses())


async def ledger(database_url: str, columns: str) -> list[dict[str, Any]]:
    async with await psycopg.AsyncConnection.connect(
        database_url, row_factory=dict_row
    ) as connection:
        query = f"SELECT {columns} FROM sandbox.authorizations ORDER BY amount_minor DESC"
        return await (await connection.execute(query)).fetchall()


async def mend_cards(database_url: str) -> None:
    """Let the provider take what it was asked for and refused."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("UPDATE sandbox.authorizations SET capture_fails = false")


async def unbook_refunds(database_url: str) -> None:
    """Put back on the provider's account what it gave back."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("UPDATE sandbox.authorizations SET refunded_minor = 0")
