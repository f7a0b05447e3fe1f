"""How far Kafka, Redis and the services are behind, as `status` shows it."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from infrastructure.local.errors import LocalError

if TYPE_CHECKING:
    from infrastructure.observability.lag import HopLag
    from infrastructure.observability.service_lag import Services

LEFT = ("hop", "queue")


@dataclass(frozen=True, slots=True)
class Behind:
    """What is not done yet, by hop, and by service and queue."""

    hops: "Sequence[HopLag]"
    services: "Services"


def ask() -> Behind:
    """Ask the running platform. What can't be told says why."""
    from pydantic import ValidationError

    from api.cli.store import load_environment
    from infrastructure import composition
    from infrastructure.observability import lag, service_lag
    from infrastructure.settings import Settings

    try:
        load_environment()
        settings = Settings()
        meter = composition.lag_meter(settings)
    except (LocalError, ValidationError):
        problem = "the platform has no settings yet"
        return Behind(lag.unknown(problem), service_lag.unknown(problem))
    with closing(meter):
        return Behind(meter.measure(), composition.service_meter(settings).measure())


def to_json(behind: Behind | None) -> Mapping[str, Any]:
    """Give the members that `status --json` has of it; None: no platform runs."""
    if behind is None:
        return {"lag": [], "services": [], "tasks": []}
    return {
        "lag": [
            {"hop": one.hop, "events": one.events, "seconds": one.seconds} for one in behind.hops
        ],
        "services": [asdict(one) for one in behind.services.lags],
        "tasks": [asdict(one) for one in behind.services.queues],
    }


def print_tables(behind: Behind) -> None:
    # A terminal may have ASCII only.
    waiting = [
        (one.hop.replace("→", " to "), *_shown(one.events, one.seconds, one.problem))
        for one in behind.hops
    ]
    waiting += [
        (f"kafka to {one.service}", *_shown(one.messages, 0.0, one.problem))
        for one in behind.services.lags
    ]
    _print_table("not processed yet", ("hop", "events", "oldest"), waiting)
    tasks = [
        (one.queue, *_shown(one.due, one.seconds, one.problem), str(one.failing or ""))
        for one in behind.services.queues
    ]
    _print_table("tasks", ("queue", "due", "oldest", "failing"), tasks)


def _shown(count: int | None, seconds: float | None, problem: str | None) -> tuple[str, str]:
    if count is None:
        return "unknown", problem or ""
    if seconds is None:
        return str(count), problem or ""
    return str(count), f"{seconds:.1f} s" if count and seconds else ""


def _print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in LEFT else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
