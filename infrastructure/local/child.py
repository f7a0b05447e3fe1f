"""One supervised child: started, probed for as long as it runs, restarted when it ends, stopped.

It is restarted for ever, with a back-off that doubles from 0.2 s to 10 s and starts over after 30 s
of health. Only before it was ready for the first time is there an end to patience: then the start
of the platform has failed, and someone is there to be told why. One that runs and does not answer,
or says that it can't serve, is shown as unready and left alone: what it waits for may come back.

Its output goes to a file directly, never through the supervisor, so that a supervisor that hangs
blocks nobody. A log that grows over 10 MB is moved to NAME.log.1 and emptied in place (children
append); the few lines that are written in that very instant can be lost.
"""

import asyncio
import errno
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from infrastructure.local.errors import LocalError
from infrastructure.local.identity import ProcessIdentity, identity
from infrastructure.local.leash import leashed
from infrastructure.local.program import PROBE_EVERY_S, Program, log_tail

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 10.0
HEALTHY_AFTER_S = 30.0
FIRST_START_ATTEMPTS = 4
WATCH_EVERY_S = 3.0
LOG_BYTES = 10_000_000


class State(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    BACKING_OFF = "backing-off"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Child:
    def __init__(self, program: Program, log: Path, changed: Callable[[], None]) -> None:
        """Take what to run; `changed` is called after every change of state."""
        self.program = program
        self.log = log
        self.state = State.WAITING
        self.identity: ProcessIdentity | None = None
        self.restarts = 0
        self.last_end: str | None = None
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._first_ready: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and return when it is ready for the first time.

        Raises:
            LocalError: it ends again and again, or is not ready in time; with the end of its log.
        """
        self._first_ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep_running(), name=self.program.name)
        waiter: asyncio.Future[None] = self._first_ready
        # Whichever is first: it is ready, or keeping it running has failed.
        await asyncio.wait({waiter, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()

    def endless(self) -> asyncio.Task[None]:
        """Give the task that keeps it running; where that ends, this program has a fault."""
        assert self._task is not None, "started"  # noqa: S101
        return self._task

    async def stop(self) -> None:
        """Ask it to stop, kill it after the grace, and wait for its end."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, LocalError):  # a failed start was told already
                await self._task
        process = self._process
        if process is not None and process.returncode is None:
            self._set(State.STOPPING)
            with suppress(ProcessLookupError):
                process.send_signal(self.program.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), self.program.stop_grace_s)
            except TimeoutError:
                process.kill()
                await process.wait()
        self.identity = None
        self._set(State.STOPPED)

    def bound_log(self) -> None:
        """Empty a log that has grown over its bound, keeping the old one beside it."""
        if not self.log.exists() or self.log.stat().st_size <= LOG_BYTES:
            return
        with suppress(OSError):  # on a full disk the copy is given up, so that the log shrinks
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
        with self.log.open("r+b") as file:
            file.truncate(0)

    async def _keep_running(self) -> None:
        delay_s = FIRST_DELAY_S
        attempts = 0
        while True:
            attempts += 1
            started = time.monotonic()
            log_from = self.log.stat().st_size if self.log.exists() else 0
            self.last_end = await self._run_once()
            if _tells_full_disk(log_tail(self.log, log_from)):
                self.last_end += ": the disk is full"
            self.identity = None
            first = self._first_ready is not None and not self._first_ready.done()
            if first and attempts >= FIRST_START_ATTEMPTS:
                raise self._failure(f"{self.last_end}, {attempts} times in a row", log_from)
            if time.monotonic() - started >= HEALTHY_AFTER_S:
                delay_s = FIRST_DELAY_S
            self.restarts += 1
            self._set(State.BACKING_OFF)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)

    async def _run_once(self) -> str:
        """Run it to its end, and say how it ended."""
        self._set(State.STARTING)
        self.bound_log()
        try:
            await asyncio.to_thread(self.program.prepare)
            log_from = self.log.stat().st_size if self.log.exists() else 0
            process = await self._spawn()
        except (LocalError, OSError) as error:
            if self._first_ready is not None and not self._first_ready.done():
                raise LocalError(f"{self.program.name} can't be started: {error}") from error
            return f"could not be started: {error}"
        probing = asyncio.create_task(self._probe(log_from))
        ending = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({probing, ending}, return_when=asyncio.FIRST_COMPLETED)
            if probing.done():
                probing.result()
            return _how(await ending)
        finally:
            probing.cancel()
            ending.cancel()

    async def _spawn(self) -> asyncio.subprocess.Process:
        with self.log.open("ab") as output:
            # From the loop's thread: the leash is held by the thread that starts the child.
            process = self._process = await asyncio.create_subprocess_exec(
                *leashed(self.program.command(), self.program.orphan_signal),
                env=dict(self.program.environment()),
                cwd=self.program.folder(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops them in order
            )
        self.identity = identity(process.pid)
        self._changed()
        return process

    async def _probe(self, log_from: int) -> None:
        within_s = self.program.first_ready_within_s
        deadline = time.monotonic() + within_s
        while not await asyncio.to_thread(self._answers):
            first = self._first_ready is not None and not self._first_ready.done()
            if first and time.monotonic() > deadline:
                raise self._failure(f"was not ready after {within_s:.0f} s", log_from)
            await asyncio.sleep(PROBE_EVERY_S)
        self._set(State.READY)
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_result(None)
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            ready = await asyncio.to_thread(self.program.ready)
            if ready != (self.state is State.READY):
                self._set(State.READY if ready else State.UNREADY)

    def _answers(self) -> bool:
        """Say whether it has come up; the first time, the start of the platform waits for that."""
        first = self._first_ready is not None and not self._first_ready.done()
        return self.program.started() if first else self.program.ready()

    def _failure(self, what: str, log_from: int) -> LocalError:
        tail = log_tail(self.log, log_from)
        full = _tells_full_disk(tail) and "the disk is full" not in what
        why = f"{self.program.name} {what}{': the disk is full' if full else ''}"
        return LocalError(f"{why}. The end of {self.log}:\n{tail or '  (it said nothing)'}")

    def _set(self, state: State) -> None:
        self.state = state
        self._changed()


def _tells_full_disk(log: str) -> bool:
    return os.strerror(errno.ENOSPC) in log


def _how(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"
