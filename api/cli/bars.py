"""Progress of long commands: bars with rate and time left on a terminal, else plain lines."""

import time

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

PLAIN_LINE_EVERY_S = 5.0


class RateColumn(ProgressColumn):
    """How many a second; nothing for what is counted in bytes."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if speed is None or not task.fields["counted"]:
            return Text("")
        return Text(f"{speed:,.0f}/s")


class CountColumn(MofNCompleteColumn):
    """M of N; nothing for bytes."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.fields["counted"] else Text("")


def bars(console: Console) -> Progress:
    """Make the progress display, one bar a phase."""
    return Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TaskProgressColumn(),
        CountColumn(),
        RateColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
    )


class BarProgress:
    """Shows the phases as bars of a live display."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, phase: str, done: int, total: int) -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(
                phase, total=total, counted=phase != "reading"
            )
        self._progress.update(self._tasks[phase], completed=done, total=total)


class PlainProgress:
    """Writes a line when a phase begins, every few seconds, and when it ends."""

    def __init__(self) -> None:
        self._phase = ""
        self._started_s = self._told_s = 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        now_s = time.monotonic()
        if phase != self._phase:
            self._phase, self._started_s, self._told_s = phase, now_s, now_s
            typer.echo(f"{phase} ...", err=True)
        elif done == total or now_s - self._told_s >= PLAIN_LINE_EVERY_S:
            if self._told_s == float("inf"):
                return
            unit = " bytes" if phase == "reading" else ""
            spent_s = now_s - self._started_s
            rate = f", {done / spent_s:,.0f}/s" if spent_s > 0 and not unit else ""
            left_s = spent_s * (total - done) / done if done else 0.0
            left = f", about {left_s:.0f} s left" if done < total and done else ""
            typer.echo(
                f"{phase} {done:,} of {total:,}{unit}, {spent_s:.1f} s{rate}{left}", err=True
            )
            self._told_s = float("inf") if done == total else now_s
