"""What the one who started the platform sees: how far it is, and later who had to be restarted."""

import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

MARKS = {"ready": "✓", "starting": "…", "waiting": "·", "backing-off": "!", "stopping": "…"}


class Progress:
    """One line on a terminal that is rewritten until the platform is ready; then only events.

    Without a terminal there is no line, but the events are there.
    """

    def __init__(self, on_ready: Callable[[str], None] | None = None) -> None:
        self._on_ready = on_ready
        self._live = sys.stderr.isatty()
        self._phase = ""
        self._restarts: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clear()

    def show(self, state: Mapping[str, Any]) -> None:
        """Take a state of the supervisor, as in state.json."""
        before, self._phase = self._phase, state["phase"]
        for row in state["processes"]:
            restarts = row["restarts"]
            if restarts > self._restarts.get(row["name"], 0):
                self._clear()
                again = f"it is restarted (restart {restarts})"
                self._write(f"{row['name']} {row['last_end']}; {again}\n")
            self._restarts[row["name"]] = restarts
        if self._phase == "ready":
            self._clear()
            if before != "ready" and self._on_ready is not None:
                self._on_ready(state["url"])
        elif self._live:
            rows = state["processes"]
            marks = (f"{MARKS.get(row['state'], ' ')} {row['name']}" for row in rows)
            self._write(f"\r\x1b[2K{self._phase}: {'  '.join(marks)}")

    def _clear(self) -> None:
        if self._live:
            self._write("\r\x1b[2K")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
