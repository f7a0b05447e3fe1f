"""`./run bench`: measure each row of issue 4's table beside its floors, and say what came out.

Rule: it starts everything itself and leaves nothing: neither processes nor files.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from rich.console import Console

from tests.bench.report import Row, as_document, markdown, show
from tests.bench.rounds import Effort
from tests.bench.stack import Stack

ROWS = (
    "append",
    "place",
    "read",
    "relay",
    "projector",
    "latency",
    "audit",
    "platform",
    "rebuild",
    "life",
)
LONG_ROWS = ("growth", "memory")
KNOWN = (*ROWS, *LONG_ROWS)
JSON_FILE = Path(".ordertrail-bench.json")

Measure = Callable[[Stack, Effort], Sequence[Row]]


def main() -> None:
    arguments = _arguments()
    if arguments.markdown:
        sys.stdout.write(markdown(json.loads(arguments.json.read_text())) + "\n")
        return
    effort = Effort(arguments.rounds, arguments.seconds, arguments.long, arguments.scale)
    everything = (*ROWS, *LONG_ROWS) if arguments.long else ROWS
    names: Sequence[str] = arguments.names or everything
    console = Console(width=None if sys.stdout.isatty() else 160)
    rows: list[Row] = []
    began_at, started = datetime.now(UTC), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ordertrail-bench-") as folder:
        # PostgreSQL runs as another user where this is root: it must be able to get there.
        Path(folder).chmod(0o755)
        for name in names:
            console.print(f"{name} …", style="dim", end=" ")
            row_started = time.monotonic()
            # A stack for each row: what one has written costs the next nothing.
            with Stack(Path(folder) / name) as stack:
                rows += _measure(name)(stack, effort)
            console.print(f"{time.monotonic() - row_started:.0f} s", style="dim")
    show(rows, console)
    document = as_document(rows, effort, began_at, time.monotonic() - started)
    arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    console.print(f"{document['seconds']} s; written to {arguments.json}")


def _measure(name: str) -> Measure:
    measure: Measure = import_module(f"tests.bench.{name}").measure
    return measure


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(KNOWN)}")
    parser.add_argument("--long", action="store_true", help="also the rows that take many minutes")
    parser.add_argument("--json", type=Path, default=JSON_FILE, help="where to write the figures")
    parser.add_argument(
        "--markdown", action="store_true", help="measure nothing: print the written figures"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of one measurement")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the long rows' events and orders"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(KNOWN):
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    main()
