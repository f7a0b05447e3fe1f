"""Where an export goes: standard output, or a file that is there whole or not at all.

Rule: a file under its final name is complete. Until then it has another name beside it
(`.NAME.….partial`), locked by who writes it; the kernel drops the lock of one that was killed, so
the next export of that name takes its leavings away. Only its owner may read it: it may hold
personal data.
"""

import fcntl
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, BinaryIO, NoReturn, cast

from infrastructure.local.errors import LocalError

SUFFIX = ".partial"


@contextmanager
def output(path: Path | None) -> Iterator[BinaryIO]:
    """Open standard output, or a file that replaces `path` if the block ends well.

    Raises:
        LocalError: the file can't be made there.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = _begin(path)
    signal.signal(signal.SIGTERM, _end)  # so that what is partial is taken away
    try:
        with partial:
            yield cast("BinaryIO", partial)
            partial.flush()
            os.fsync(partial.fileno())
            # Still locked: once it has its name, nobody takes it for something that was left.
            Path(partial.name).replace(path)
    except BaseException:
        Path(partial.name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _begin(path: Path) -> IO[bytes]:
    """Make the file that is written first, and lock it."""
    try:
        _remove_leavings(path)
        # Mode 0600, as temporary files have.
        partial = NamedTemporaryFile(  # noqa: SIM115  # it is closed and renamed by who writes it
            dir=path.parent, prefix=f".{path.name}.", suffix=SUFFIX, delete=False
        )
        fcntl.flock(partial, fcntl.LOCK_EX)
    except OSError as error:
        raise LocalError(f"can't write {path}: {error.strerror}") from error
    if os.fstat(partial.fileno()).st_nlink == 0:
        partial.close()
        raise LocalError(f"{path} is being written by another export; run this one again")
    return partial


def _remove_leavings(path: Path) -> None:
    """Remove what killed exports of this name have left. One that goes on holds its lock."""
    random = re.compile(re.escape(f".{path.name}.") + "[a-z0-9_]{8}" + re.escape(SUFFIX))
    for beside in path.parent.iterdir():
        if not random.fullmatch(beside.name) or beside.is_symlink():
            continue
        try:
            with beside.open("rb") as left:
                fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                beside.unlink()
        except (BlockingIOError, PermissionError, FileNotFoundError):
            continue  # it is being written, is somebody else's, or is gone


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
