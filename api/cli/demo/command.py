"""`demo`: start the platform, import a shop's first day, live some orders, say what happened.

Readable means readable from Redis: each order's wait is measured until the query API answers
with `Order-View: redis` at the order's own log position.
"""

import asyncio
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import httpx
import typer
from rich.console import Console

from api.cli.bars import BarProgress, PlainProgress, bars
from api.cli.demo.again import insist
from api.cli.demo.show import counted, show_story
from api.cli.demo.story import Story, write_story
from api.cli.demo.tell import Teller, Told
from api.cli.importing import platform_client
from api.cli.progress import Progress
from api.importing.report import Report
from api.importing.report_text import report_lines
from api.importing.run import Options, run

if TYPE_CHECKING:
    from infrastructure.local.home import Home

FIRST_DAY = Path(__file__).parent / "first_day.csv"
CONCURRENCY = 8
LONGEST_WAIT_S = 10
WAITS_AT_ONCE = 32
LOOK_EVERY_S = 1.0
TOKEN_S = 3_600


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    *,
    orders: Annotated[int, typer.Option(min=1, max=1_000, help="Orders that are lived.")] = 40,
    speed: Annotated[float, typer.Option(min=0, help="2: twice as fast; 0: at once.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same story.")] = 1,
) -> None:
    """Start everything, import a shop's first day, live some orders, stay up until Ctrl-C."""
    from infrastructure.local import control
    from infrastructure.local.home import Home

    home = Home.current()
    with Progress() as progress:
        state, started = control.start_detached(home, progress.show)
    typer.echo(f"Ordertrail {'is up' if started else 'was up already'}: {state['url']}\n")
    try:
        with _interruptible() as stopped:
            report, waits = asyncio.run(_place_orders(home.path))
            for line in report_lines(report):
                typer.echo(line)
            typer.echo(waits.text())
            told = asyncio.run(_tell(state["url"], write_story(seed, orders, FIRST_DAY), speed))
            show_story(told)
            _show_around(state["url"], report, told)
            if started:
                typer.echo("\nCtrl-C stops it; its data is kept in " + str(home.path))
                while control.is_run_by(home, state["supervisor"]):
                    stopped.wait(LOOK_EVERY_S)
    except KeyboardInterrupt:
        pass
    finally:
        if started:
            _stop_own(home, state["supervisor"])


def _stop_own(home: "Home", supervisor: int) -> None:
    """Stop the platform that this demo started; one that somebody started since is theirs."""
    from infrastructure.local import control

    if control.is_run_by(home, supervisor):
        typer.echo("\nStopping ...")
        control.stop_platform(home)
        typer.echo("Ordertrail is down; its data is kept.")
    else:
        typer.echo("\nOrdertrail was stopped by somebody else; its data is kept.")


@dataclass
class _Waits:
    """Seconds from acknowledged to readable; `late` were not readable in LONGEST_WAIT_S."""

    seconds: list[float] = field(default_factory=list)
    late: int = 0

    def text(self) -> str:
        if not self.seconds and not self.late:
            return "  nothing new was placed, so there was nothing to wait for"
        parts = []
        if self.seconds:
            ordered = sorted(self.seconds)
            p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
            parts.append(
                f"median {statistics.median(ordered) * 1000:.0f} ms,"
                f" p99 {p99 * 1000:.0f} ms, longest {ordered[-1] * 1000:.0f} ms"
            )
        if self.late:
            parts.append(f"{self.late} not within {LONGEST_WAIT_S} s")
        return f"  acknowledged -> readable through Kafka and Redis: {'; '.join(parts)}"


class _Watcher:
    """Waits for each placed order, a bounded number at a time, until Redis has it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.waits = _Waits()
        self._client = client
        self._gate = asyncio.Semaphore(WAITS_AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []

    def watch(self, _invoice: str, order_id: str, position: int, acknowledged_at: float) -> None:
        self._tasks.append(asyncio.create_task(self._await(order_id, position, acknowledged_at)))

    async def finish(self) -> _Waits:
        await asyncio.gather(*self._tasks)
        return self.waits

    async def _await(self, order_id: str, position: int, acknowledged_at: float) -> None:
        async with self._gate:
            answer = await insist(
                lambda: self._client.get(
                    f"/v1/orders/{order_id}",
                    params={"min_position": position},
                    headers={"Prefer": f"wait={LONGEST_WAIT_S}"},
                )
            )
        if answer.is_success and answer.headers.get("Order-View") == "redis":
            self.waits.seconds.append(time.monotonic() - acknowledged_at)
        else:
            self.waits.late += 1


async def _place_orders(folder: Path) -> tuple[Report, _Waits]:
    options = Options(rejects=folder / "first_day.rejects.csv", concurrency=CONCURRENCY)
    console = Console(stderr=True)
    async with platform_client(CONCURRENCY + WAITS_AT_ONCE) as client:
        watcher = _Watcher(client)
        with bars(console) if console.is_terminal else nullcontext() as progress:
            report = await run(
                client,
                FIRST_DAY,
                options,
                progress=PlainProgress() if progress is None else BarProgress(progress),
                on_placed=watcher.watch,
            )
        return report, await watcher.finish()


async def _tell(url: str, story: Story, speed: float) -> Told:
    from infrastructure.local.keys import mint_token

    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        teller = Teller(
            client, lambda role, subject: mint_token(role, subject, TOKEN_S), speed=speed
        )
        with counted(len(story.purchases)) as show:
            return await teller.play(story, show)


def _show_around(url: str, report: Report, told: Told) -> None:
    examples = (
        ("delivered", told.example(lambda one: one["fulfillment_status"] == "delivered")),
        ("rejected", told.example(lambda one: one["status"] == "rejected")),
        ("returned", told.example(lambda one: bool(one["returns"]))),
    )
    curl = f'curl -H "Authorization: Bearer $TOKEN" {url}/v1/orders'
    shown = "\n".join(f"{curl}/{order}/history  # {word}" for word, order in examples if order)
    typer.echo(
        f"""
The API's pages:  {url}/docs
The processes:    ./run status

TOKEN=$(./run token --role support --subject demo)
{curl}/{examples[-1][1] or report.example_order_id}
{shown}
curl -H "Authorization: Bearer $TOKEN" '{url}/v1/orders?limit=5&status=pending'"""
    )


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Let a closed terminal and SIGTERM end the demo as Ctrl-C does, so that nothing is left."""
    stopped = threading.Event()

    def interrupt(*_: object) -> None:
        stopped.set()
        raise KeyboardInterrupt

    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, interrupt)
    yield stopped
