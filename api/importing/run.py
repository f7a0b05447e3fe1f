"""One import from beginning to end: read, place, match, cancel, report.

Rule: nothing is placed before the whole file was read, and no cancellation is matched before
every order has its outcome. What is sent depends on the file and on those outcomes alone, so a
second run sends the same and the API answers from its memory.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import httpx

from api.importing.grouping import Order, orders
from api.importing.matching import Cancellation, cancellations, match, note_sold
from api.importing.reading import OrderFile
from api.importing.rejects import RejectsFile, RejectsFileError
from api.importing.report import Report
from api.importing.rows import parse_row
from api.importing.sending import (
    SAFE_TO_REPEAT,
    Accepted,
    ImportStoppedError,
    Patience,
    Refused,
    Sender,
    idempotency_key,
)
from api.importing.spill import IN_CANCELLATION, IN_ORDER, Spill

ROWS_PER_BREATH = 500
"""Rows read before the event loop gets a turn and the progress is told."""
DISK_FAULTS = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})

Item = TypeVar("Item")
Progress = Callable[[str, int, int], None]
"""(phase, done, total): `reading` in bytes, `placing` in orders, `cancelling` in orders hit."""
OnPlaced = Callable[[str, str, int, float], None]
"""(invoice, order id, log position, acknowledged at in `time.monotonic()` seconds)."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to import. `concurrency` is the number of requests under way at a time."""

    rejects: Path
    dry_run: bool = False
    concurrency: int = 32
    patience: Patience = field(default_factory=Patience)


class Posting(Protocol):
    async def post(self, path: str, body: dict[str, object], key: str) -> Accepted | Refused: ...


class DryRun:
    """Accepts everything and sends nothing."""

    async def post(self, path: str, body: dict[str, object], key: str) -> Accepted | Refused:
        del path, body
        return Accepted(order_id=key, position=0, replayed=False)


async def run(
    client: httpx.AsyncClient,
    path: Path,
    options: Options,
    *,
    progress: Progress = lambda _phase, _done, _total: None,
    on_placed: OnPlaced = lambda _invoice, _order_id, _position, _acknowledged_at: None,
) -> Report:
    """Import a file. The client has the API's base URL and a service's token.

    `on_placed` hears of each order that was placed now, not of those that were there already.

    Raises:
        NotAnOrderFileError: the file can't be read or isn't such a CSV; nothing was placed.
        RejectsFileError: the rejects file can't be written; nothing was placed.
        ImportStoppedError: the API or the disk gave up; running again is safe.
    """
    sender: Posting = DryRun() if options.dry_run else Sender(client, options.patience)
    started = time.monotonic()
    report = Report(file=path.name, rejects=options.rejects, dry_run=options.dry_run)
    with OrderFile(path) as file:
        rejects = RejectsFile(options.rejects, path)
        try:
            with Spill() as spill:
                await _read(file, spill, report, progress)
                sending = _Sending(
                    sender=sender,
                    spill=spill,
                    report=report,
                    concurrency=options.concurrency,
                    progress=progress,
                    on_placed=on_placed,
                )
                await sending.send()
                report.add_up(spill)
                _write_rejects(rejects, spill, file.header)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in DISK_FAULTS:
                raise
            raise ImportStoppedError(
                f"The import's temporary file failed: {error}. {SAFE_TO_REPEAT}"
            ) from error
    report.duration_s = time.monotonic() - started
    return report


def _write_rejects(rejects: RejectsFile, spill: Spill, header: list[str]) -> None:
    try:
        rejects.write(spill, header)
    except RejectsFileError as error:  # now the orders stand: another fault than at the start
        raise ImportStoppedError(
            f"The orders were placed, but not the rejects written: {error}. {SAFE_TO_REPEAT}"
        ) from error


async def _read(file: OrderFile, spill: Spill, report: Report, progress: Progress) -> None:
    progress("reading", 0, file.size_bytes)
    for number, record in enumerate(file.records(), start=1):
        row = parse_row(record)
        report.total.add(row.amount)
        spill.add(record, row)
        if number % ROWS_PER_BREATH == 0:
            progress("reading", file.bytes_read(), file.size_bytes)
            await asyncio.sleep(0)
    progress("reading", file.size_bytes, file.size_bytes)


class _Sending:
    """The two phases that talk to the API, and what they count."""

    def __init__(
        self,
        *,
        sender: Posting,
        spill: Spill,
        report: Report,
        concurrency: int,
        progress: Progress,
        on_placed: OnPlaced,
    ) -> None:
        self._sender = sender
        self._spill = spill
        self._report = report
        self._concurrency = concurrency
        self._progress = progress
        self._on_placed = on_placed
        self._earliest: tuple[str, str] | None = None

    async def send(self) -> None:
        report, spill = self._report, self._spill
        self._total = spill.group()
        self._progress("placing", 0, self._total)
        started = time.monotonic()
        await _each(orders(spill), self._place, self._concurrency)
        report.placing_s = time.monotonic() - started
        answered = report.orders.done + report.orders.already + report.orders.refused
        report.orders.refused += self._total - answered  # those that were not even sent
        self._progress("placing", self._total, self._total)
        self._total, self._hit = match(spill), 0
        self._progress("cancelling", 0, self._total)
        await _each(cancellations(spill), self._cancel_all, self._concurrency)
        self._progress("cancelling", self._total, self._total)

    async def _place(self, order: Order) -> None:
        report = self._report
        answer = await self._sender.post("/v1/orders", order.body(), idempotency_key(order.invoice))
        acknowledged_at = time.monotonic()
        if isinstance(answer, Refused):
            report.orders.refused += 1
            self._spill.settle_invoice(order.invoice, answer.reason)
        else:
            self._count_standing(order, answer)
            if not answer.replayed:
                self._on_placed(order.invoice, answer.order_id, answer.position, acknowledged_at)
        answered = report.orders.done + report.orders.already + report.orders.refused
        self._progress("placing", answered, self._total)

    def _count_standing(self, order: Order, answer: Accepted) -> None:
        report = self._report
        report.orders.already += answer.replayed
        report.orders.done += not answer.replayed
        report.sent_gross_minor += order.gross_minor
        report.sent_discount_minor += order.discount_minor
        if order.country_code is None:
            before = report.without_country.get(order.country, 0)
            report.without_country[order.country] = before + 1
        if self._earliest is None or (order.placed_at, order.invoice) < self._earliest:
            self._earliest = (order.placed_at, order.invoice)
            report.example_order_id = answer.order_id
        self._spill.settle_invoice(order.invoice, IN_ORDER)
        note_sold(self._spill, order, answer.order_id)

    async def _cancel_all(self, of_one_order: list[Cancellation]) -> None:
        for cancellation in of_one_order:
            await self._cancel(cancellation)
        self._hit += 1
        self._progress("cancelling", self._hit, self._total)

    async def _cancel(self, cancellation: Cancellation) -> None:
        report = self._report
        answer = await self._sender.post(
            f"/v1/orders/{cancellation.order_id}/cancellations",
            cancellation.body(),
            idempotency_key(cancellation.invoice, cancellation.order_invoice),
        )
        if isinstance(answer, Refused):
            report.cancellations.refused += 1
            outcome = answer.reason
        else:
            report.cancellations.already += answer.replayed
            report.cancellations.done += not answer.replayed
            report.sent_cancelled_minor += cancellation.amount_minor
            outcome = IN_CANCELLATION
        for line in cancellation.rows:
            self._spill.settle_row(line, outcome)


async def _each(
    items: Iterator[Item], work: Callable[[Item], Awaitable[None]], concurrency: int
) -> None:
    """Work on all items, so many at a time; the workers share the iterator, so nothing queues up.

    The first failure ends all. Of failures that come together, one that can be told plainly wins.
    """

    async def worker() -> None:
        for item in items:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
    except ExceptionGroup as failures:
        plain = failures.subgroup((ImportStoppedError, sqlite3.OperationalError))
        if plain is None:
            raise
        raise plain.exceptions[0] from None
