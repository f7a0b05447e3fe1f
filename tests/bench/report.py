"""What a run found: per row the figures of each round, the ratios, and whether a bar is met.

Rule: a bar that is missed is said, never raised: a benchmark on a noisy machine is no test.
"""

import dataclasses
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.rounds import Effort


@dataclass(frozen=True, slots=True)
class Bar:
    """How the thing must compare with one floor: at least `ratio` times it, or at most."""

    floor: str
    ratio: float
    at_most: bool = False

    def met(self, ratio: float) -> bool:
        return ratio <= self.ratio if self.at_most else ratio >= self.ratio

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.ratio:g}"


@dataclass(slots=True)
class Row:
    """One line of issue 4's table.

    Attributes:
        figures: by contender, one figure per round; the first contender is the thing itself.
        notes: further figures that have no bar.
    """

    name: str
    unit: str
    figures: Mapping[str, Sequence[float]]
    bars: Sequence[Bar]
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def thing(self) -> str:
        return next(iter(self.figures))

    def ratios(self, floor: str) -> Sequence[float]:
        """Compare round by round: both figures of a pair met the same weather."""
        pairs = zip(self.figures[self.thing], self.figures[floor], strict=True)
        return [thing / below for thing, below in pairs]

    def as_json(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "figures": {name: list(values) for name, values in self.figures.items()},
            "bars": [
                {
                    "floor": bar.floor,
                    "bar": str(bar),
                    "ratios": list(ratios := self.ratios(bar.floor)),
                    "ratio": (ratio := statistics.median(ratios)),
                    "met": bar.met(ratio),
                }
                for bar in self.bars
            ],
            "notes": self.notes,
        }


def show(rows: Sequence[Row], console: Console) -> None:
    """Print one line per bar: medians, the median ratio with its range, and the verdict."""
    table = Table(title="median of the rounds; ratios are taken within each round")
    for column in ("what", "it", "beside", "that", "ratio", "least to most", "bar", ""):
        table.add_column(column)
    for row in rows:
        thing = statistics.median(row.figures[row.thing])
        for number, bar in enumerate(row.bars):
            ratios = row.ratios(bar.floor)
            ratio = statistics.median(ratios)
            table.add_row(
                row.name if number == 0 else "",
                f"{figure(thing)} {row.unit}" if number == 0 else "",
                bar.floor,
                figure(statistics.median(row.figures[bar.floor])),
                f"{ratio:.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
                str(bar),
                "met" if bar.met(ratio) else "not met",
            )
        if row.notes:
            notes = ", ".join(f"{name}: {figure(value)}" for name, value in row.notes.items())
            table.add_row("", notes)
        table.add_section()
    console.print(table)


def as_document(
    rows: Sequence[Row], effort: Effort, began_at: datetime, seconds: float
) -> Mapping[str, Any]:
    """Give a run as it is written: JSON values. `seconds`: what all of it took."""
    return {
        "machine": {"cpus": os.cpu_count(), "load_average": os.getloadavg()},
        "began_at": began_at.isoformat(timespec="seconds"),
        "effort": dataclasses.asdict(effort),
        "seconds": round(seconds),
        "rows": [row.as_json() for row in rows],
    }


def markdown(document: Mapping[str, Any]) -> str:
    """Write a run's JSON as the table of docs/performance.md."""
    lines = [
        "| what | it | beside | that | ratio | least to most | bar | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in document["rows"]:
        medians = {name: statistics.median(values) for name, values in row["figures"].items()}
        thing = next(iter(medians.values()))
        for number, bar in enumerate(row["bars"]):
            cells = [
                row["name"] if number == 0 else "",
                f"{figure(thing)} {row['unit']}" if number == 0 else "",
                bar["floor"],
                figure(medians[bar["floor"]]),
                f"{bar['ratio']:.2f}",
                f"{min(bar['ratios']):.2f} to {max(bar['ratios']):.2f}",
                bar["bar"],
                "met" if bar["met"] else "**not met**",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        if row["notes"]:
            notes = ", ".join(f"{name}: {figure(value)}" for name, value in row["notes"].items())
            lines.append(f"| | {notes} | | | | | | |")
    machine, effort = document["machine"], document["effort"]
    measured = (
        f"{document['began_at']}, {machine['cpus']} CPUs, load average"
        f" {machine['load_average'][1]:.1f} over the last five minutes,"
        f" {effort['rounds']} rounds of {effort['seconds']:g} s, {document['seconds']} s in all."
    )
    lines += ["", measured]
    return "\n".join(lines)


def figure(value: float) -> str:
    """Write a figure with about three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
