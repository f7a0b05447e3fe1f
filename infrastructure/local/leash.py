"""Start a program that dies with its parent: `python -IS leash.py PARENT_PID SIGNAL COMMAND...`.

A supervisor that is killed with SIGKILL can stop nobody, so on Linux the kernel does it: each child
asks for a signal at its parent's death (prctl(2), PR_SET_PDEATHSIG) and then becomes the program.
This is a script of its own, and not a `preexec_fn`, because running Python between fork and exec
can deadlock in a process with threads. Elsewhere than on Linux it only becomes the program: what is
left over there is ended by the next `up`, from state.json.
"""

import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def leashed(command: Sequence[str], orphan_signal: signal.Signals) -> list[str]:
    """Give the command line that starts `command` on a leash held by this process."""
    holder = str(os.getpid())
    return [sys.executable, "-IS", __file__, holder, str(int(orphan_signal)), *command]


def _become(parent: int, orphan_signal: int, command: Sequence[str]) -> None:
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - it costs 10 ms, and only here is it needed

        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, orphan_signal) != 0:
            sys.exit(f"prctl(PR_SET_PDEATHSIG) failed: errno {ctypes.get_errno()}")
        if os.getppid() != parent:  # it died before the kernel was asked
            sys.exit("the supervisor is gone")
    # Python ignores SIGPIPE and SIGXFSZ, and ignored signals are inherited through exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.exit(f"{command[0]} can't be started: {error.strerror}")


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
