"""What the supervisor, and the tests, need to know of a server or service to run it.

A program prepares its data, gives its command, says whether it is ready and how it likes to be
stopped. It holds no running process: `running` here runs one for as long as a block lasts, and
`child.Child` runs one for as long as the platform is up.
"""

import abc
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from infrastructure.local.errors import LocalError
from infrastructure.local.leash import leashed

PROBE_EVERY_S = 0.05
TAIL_LINES = 15
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "LOGNAME")


class Program(abc.ABC):
    name: str
    port: int
    stop_signal: signal.Signals = signal.SIGTERM
    # Sent by the kernel when the supervisor dies: a service is safe to kill at any instruction.
    orphan_signal: signal.Signals = signal.SIGKILL
    first_ready_within_s: float = 60.0
    stop_grace_s: float = 10.0

    def prepare(self) -> None:
        """Make what must be there before each start; again and again is harmless."""
        return

    @abc.abstractmethod
    def command(self) -> Sequence[str]: ...

    def environment(self) -> Mapping[str, str]:
        """Give the whole environment of the process."""
        return inherited_environment()

    def folder(self) -> Path | None:
        """Give the working directory, or None for the supervisor's own."""
        return None

    @abc.abstractmethod
    def ready(self) -> bool:
        """Say whether it serves now. May block for a second or two; runs in a thread."""

    def started(self) -> bool:
        """Say whether the platform's start may go on, as `ready` does."""
        return self.ready()


def inherited_environment() -> dict[str, str]:
    """Give the few variables that any program may have from the user's shell."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def run_to_end(command: Sequence[str], what: str, *, environment: Mapping[str, str]) -> None:
    """Run a preparing command, on a leash.

    Raises:
        LocalError: it failed; with the end of what it said.
    """
    done = subprocess.run(
        leashed(command, signal.SIGKILL),
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        said = "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
        raise LocalError(f"{what} failed with exit code {done.returncode}:\n{said}")


def log_tail(log: Path, from_byte: int = 0) -> str:
    """Give the last lines of a log, from `from_byte` on, indented."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(min(from_byte, size), size - 16_384))
            lines = file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
    except FileNotFoundError:
        return ""
    return "\n".join(f"  {line}" for line in lines)


@contextmanager
def running(program: Program, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block, without restarts; it is ready at the start.

    Raises:
        LocalError: it ended or was not ready in time; with the end of its log.
    """
    program.prepare()
    with log.open("ab") as output:
        process = subprocess.Popen(
            leashed(program.command(), program.orphan_signal),
            env=dict(program.environment()),
            cwd=program.folder(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + program.first_ready_within_s
        while not program.ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise LocalError(f"{program.name} did not start:\n{log_tail(log)}")
            time.sleep(PROBE_EVERY_S)
        yield process
    finally:
        process.send_signal(program.stop_signal)
        try:
            process.wait(program.stop_grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
