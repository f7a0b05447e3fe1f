"""Which process is meant: a pid with its birth, so that a recycled pid is never taken for it."""

import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    pid: int
    birth: str


def identity(pid: int) -> ProcessIdentity | None:
    """Look up a process, or None if it has ended (a zombie has).

    On Linux the birth is the kernel's own count of ticks since boot: psutil's `create_time` is
    wall time, and would differ for the same process after the clock was set.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if sys.platform == "linux":
            # The second field, the name in parentheses, may itself hold spaces and parentheses.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return ProcessIdentity(pid, f"ticks:{fields[19]}")
        return ProcessIdentity(pid, f"time:{process.create_time():.2f}")
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def lives(process: ProcessIdentity) -> bool:
    return identity(process.pid) == process


def end(processes: Sequence[tuple[ProcessIdentity, signal.Signals]], grace_s: float) -> None:
    """End processes that are not our children: ask with their signal, then SIGKILL."""
    left = []
    for process, stop_signal in processes:
        if lives(process) and _send(process, stop_signal):
            left.append(process)
    deadline = time.monotonic() + grace_s
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [process for process in left if lives(process)]
    for process in left:
        _send(process, signal.SIGKILL)


def _send(process: ProcessIdentity, number: signal.Signals) -> bool:
    try:
        psutil.Process(process.pid).send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True
