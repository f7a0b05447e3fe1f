"""What the one who started the platform sees: how far it is, and later who had to be restarted."""

import shutil
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

DONE = {"starting": "ready", "ready": "ready", "stopping": "stopped"}


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
            columns = shutil.get_terminal_size().columns
            self._write(f"\r\x1b[2K{_line(state)[: columns - 1]}")

    def _clear(self) -> None:
        if self._live:
            self._write("\r\x1b[2K")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _line(state: Mapping[str, Any]) -> str:
    rows, phase = state["processes"], state["phase"]
    done = DONE.get(phase)
    left = [row["name"] for row in rows if row["state"] != done]
    if done is None or not left:
        return str(phase)
    return f"{phase}: {len(rows) - len(left)} of {len(rows)} {done}, waiting for {', '.join(left)}"
