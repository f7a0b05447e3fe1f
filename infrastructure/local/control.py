"""Start, find and stop the platform of a home, from whatever shell.

There is one way to run it: the supervisor in the foreground. In the background the same command
runs detached, and the one who asked watches state.json until it is ready.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from infrastructure.local.errors import LocalError
from infrastructure.local.home import Home
from infrastructure.local.identity import end, lives
from infrastructure.local.lock import AlreadyHeldError, held_lock, holder
from infrastructure.local.service import PROJECT
from infrastructure.local.supervisor import Plan, Supervisor, end_leftovers, read_state

State = dict[str, Any]
Watch = Callable[[State], None]
STOP_WITHIN_S = 60.0
POLL_S = 0.1
UP = (sys.executable, "-m", "api.cli.main", "up")


def run_platform(home: Home, make_plan: Callable[[Home], Plan], watch: Watch) -> None:
    """Run the platform in this process until a stop signal.

    Raises:
        LocalError: it can't be started, or is up already; nothing of it is left running.
    """
    home.open()
    with held_lock(home):
        end_leftovers(home)
        supervisor: Supervisor | None = None

        def changed() -> None:
            if supervisor is not None:
                watch(supervisor.snapshot())

        supervisor = Supervisor(home, make_plan(home), changed=changed)
        asyncio.run(supervisor.run())


def start_detached(home: Home, watch: Watch, command: Sequence[str] = UP) -> tuple[State, bool]:
    """Start the platform in the background and wait until it is ready.

    Gives its state, and whether this call started it (False: it was up, or another call did).

    Raises:
        LocalError: it did not start; with what it said.
    """
    home.open()
    if holder(home) is not None:
        return wait_until_ready(home, watch), False
    log = home.log("supervisor")
    log_from = log.stat().st_size if log.exists() else 0
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command),
            env={**os.environ, "ORDERTRAIL_HOME": str(home.path)},
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while process.poll() is None:
            state = read_state(home)
            if state is not None and state["supervisor"] == process.pid:
                watch(state)
                if state["phase"] == "ready":
                    process.returncode = 0  # it stays: Popen shall not complain that it runs
                    return state, True
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    if holder(home) is not None:  # two were started at once, and the other was first
        return wait_until_ready(home, watch), False
    with log.open("rb") as file:
        file.seek(log_from)
        said = file.read().decode(errors="replace").strip()
    raise LocalError(said or f"it ended with exit code {process.returncode}; see {log}")


def wait_until_ready(home: Home, watch: Watch) -> State:
    """Wait for a platform that somebody started."""
    while (found := holder(home)) is not None:
        state = read_state(home)
        if state is not None and state["supervisor"] == found.pid:
            watch(state)
            if state["phase"] == "ready":
                return state
        time.sleep(POLL_S)
    raise LocalError(f"the platform did not start; see {home.log('supervisor')}")


def current_state(home: Home) -> State | None:
    """Give the state of the running platform, or None where none runs."""
    found = holder(home)
    if found is None:
        return None
    state = read_state(home)
    if state is None or state["supervisor"] != found.pid:
        # It has the lock and has written nothing yet.
        return {"supervisor": found.pid, "phase": "starting", "url": None, "processes": []}
    return state


def is_run_by(home: Home, supervisor: int) -> bool:
    """Say whether the home's platform runs, and under this supervisor (a pid)."""
    found = holder(home)
    return found is not None and found.pid == supervisor


def stop_platform(home: Home) -> bool:
    """Stop the platform and wait for its end; give False where none ran.

    Raises:
        LocalError: it does not stop.
    """
    found = holder(home)
    if found is not None:
        end([(found, signal.SIGTERM)], STOP_WITHIN_S)
        if lives(found):
            time.sleep(POLL_S)
        if lives(found):
            raise LocalError(f"the supervisor (pid {found.pid}) does not end")
    if home.path.exists():
        try:
            with held_lock(home):
                end_leftovers(home)
        except AlreadyHeldError:
            raise LocalError("it was stopped, and somebody is starting it again") from None
    return found is not None
