"""Run all children of a platform: in order, restarted, reported in state.json, stopped in order.

Our own, because what the registries have (supervisord, circus, honcho) either has no order by
readiness, no restart counts, or brings a daemon with a socket of its own to be found and secured.
What is needed here fits in this module and `child`.

Rule: nothing survives it. It stops its children, or the kernel does (see `leash`), or the next `up`
ends those that state.json names.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from infrastructure.local.child import Child
from infrastructure.local.errors import LocalError
from infrastructure.local.home import Home, write_whole
from infrastructure.local.identity import ProcessIdentity, end
from infrastructure.local.program import Program

LOG_CHECK_EVERY_S = 10.0
LEFTOVER_GRACE_S = 10.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Step:
    """Something to be done once everything before it is ready. `run` may block."""

    name: str
    run: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Tier:
    """Programs that start side by side, and the steps that follow when all are ready."""

    programs: Sequence[Program]
    then: Sequence[Step] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    url: str
    tiers: Sequence[Tier]


class Supervisor:
    def __init__(self, home: Home, plan: Plan, *, changed: Callable[[], None]) -> None:
        """Take the plan. `changed` is called whenever state.json was."""
        self._home = home
        self._plan = plan
        self._told = changed
        self._phase = "starting"
        self._failure: str | None = None
        self._saved = ""
        self._unsaved: str | None = None
        self._tiers = [
            [Child(program, home.log(program.name), self._save) for program in tier.programs]
            for tier in plan.tiers
        ]

    @property
    def children(self) -> Sequence[Child]:
        return [child for tier in self._tiers for child in tier]

    async def run(self) -> None:
        """Start everything, stay until a stop signal, stop everything.

        Raises:
            LocalError: a child or a step failed at the start; everything is stopped again.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, stop.set)
        self._save()
        stopping = asyncio.create_task(stop.wait())
        starting = asyncio.create_task(self._start())
        logs = asyncio.create_task(self._bound_logs())
        try:
            await asyncio.wait({stopping, starting}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                self._enter("ready")
                endless: set[asyncio.Task[None]] = {
                    logs,
                    *(child.endless() for child in self.children),
                }
                await asyncio.wait({stopping, *endless}, return_when=asyncio.FIRST_COMPLETED)
                for failed in endless:
                    if failed.done():
                        failed.result()  # it can only have failed
        except LocalError as error:
            self._failure = str(error)
            raise
        finally:
            for task in (starting, stopping, logs):
                task.cancel()
            await asyncio.gather(starting, stopping, logs, return_exceptions=True)
            await self._stop()

    async def _start(self) -> None:
        for tier, children in zip(self._plan.tiers, self._tiers, strict=True):
            await asyncio.gather(*(child.start() for child in children))
            for step in tier.then:
                try:
                    await asyncio.to_thread(step.run)
                except LocalError as error:
                    raise LocalError(f"{step.name}: {error}") from error

    async def _stop(self) -> None:
        self._enter("stopping")
        for children in reversed(self._tiers):
            await asyncio.gather(*(child.stop() for child in children))
        # What a step or a preparation started and was interrupted in.
        for left in psutil.Process().children(recursive=True):
            left.kill()
        self._enter("failed" if self._failure else "stopped")

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_CHECK_EVERY_S)
            for child in self.children:
                child.bound_log()

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._save()

    def snapshot(self) -> dict[str, Any]:
        """Give what state.json holds."""
        return {
            "supervisor": os.getpid(),
            "phase": self._phase,
            "failure": self._failure,
            "url": self._plan.url,
            "processes": [_row(child) for child in self.children],
        }

    def _save(self) -> None:
        text = json.dumps(self.snapshot())
        if text == self._saved:
            return
        try:
            write_whole(self._home.path / "state.json", text, durable=False)
            self._saved = text
            self._unsaved = None
        except OSError as error:
            # A full disk must not take down what still runs; `status` is out of date until then.
            if error.strerror != self._unsaved:
                sys.stderr.write(f"state.json can't be written: {error.strerror}\n")
            self._unsaved = error.strerror
        self._told()


def _row(child: Child) -> dict[str, Any]:
    process = child.identity
    return {
        "name": child.program.name,
        "pid": process.pid if process else None,
        "port": child.program.port,
        "state": str(child.state),
        "restarts": child.restarts,
        "birth": process.birth if process else None,
        "stop_signal": int(child.program.stop_signal),
        "last_end": child.last_end,
    }


def end_leftovers(home: Home) -> None:
    """End what a supervisor that was killed may have left. Only with the home's lock held."""
    state = read_state(home)
    if state is None:
        return
    left = [
        (ProcessIdentity(row["pid"], row["birth"]), signal.Signals(row["stop_signal"]))
        for row in state["processes"]
        if row["pid"] is not None and row["birth"] is not None
    ]
    end(left, LEFTOVER_GRACE_S)


def read_state(home: Home) -> dict[str, Any] | None:
    """Read state.json, or None before the first `up`. It may be of a platform that is gone."""
    try:
        state: dict[str, Any] = json.loads((home.path / "state.json").read_text())
    except FileNotFoundError:
        return None
    return state
