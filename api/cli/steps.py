"""How far a long command is: a bar on standard error, and nothing where that is no terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[str, int, int], None]
"""Show how far a step is: its name, what is done, and what there is to do."""


@contextmanager
def steps() -> Iterator[Tell]:
    """Give what shows a step; the bar goes away with the block."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as progress:
        task = progress.add_task("", total=None)
        yield lambda step, done, of: progress.update(
            task, description=step, completed=done, total=of
        )
