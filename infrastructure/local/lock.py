"""One platform per home: a lock that its supervisor holds, and that the kernel takes back.

A pid file could outlive its process; this lock (flock(2)) can't. The pid that is written in it is
only believed while the lock is held, and only if it is still the process that wrote it.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infrastructure.local.errors import LocalError
from infrastructure.local.home import Home
from infrastructure.local.identity import ProcessIdentity, identity

PATIENCE_S = 1.0


class AlreadyHeldError(LocalError):
    """Another supervisor has this home."""


def _file(home: Home) -> Path:
    return home.path / "lock"


@contextmanager
def held_lock(home: Home) -> Iterator[None]:
    """Hold an opened home for as long as the block lasts. Children don't inherit it.

    Raises:
        AlreadyHeldError: a platform is up here.
    """
    descriptor = os.open(_file(home), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # `holder` takes a shared lock for an instant: only a lasting one is a platform's.
                if time.monotonic() > deadline:
                    raise AlreadyHeldError(f"a platform is up in {home.path}") from None
                time.sleep(0.05)
        own = identity(os.getpid())
        assert own is not None, "this process lives"  # noqa: S101
        file.truncate(0)
        file.write(json.dumps({"pid": own.pid, "birth": own.birth}))
        file.flush()
        yield
        file.truncate(0)


def holder(home: Home) -> ProcessIdentity | None:
    """Find the supervisor that holds this home now, or None."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with _file(home).open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    text = file.read()
                else:
                    return None
        except FileNotFoundError:
            return None
        if text:
            written = json.loads(text)
            found = identity(written["pid"])
            if found is not None and found.birth == written["birth"]:
                return found
        # Between taking the lock and writing its pid, or between its last word and its end.
        if time.monotonic() > deadline:
            raise LocalError(f"{_file(home)} is held, but not by the process that it names")
        time.sleep(0.05)
