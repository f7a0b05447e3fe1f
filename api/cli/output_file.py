"""Where an export goes: standard output, or a file that is there whole or not at all.

Rule: a file under its final name is complete. Until then it has another name beside it; only a
SIGKILL leaves that one (`.NAME.….partial`). Only its owner may read it: it may hold personal data.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, NoReturn, cast

from infrastructure.local.errors import LocalError


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
    try:
        # Mode 0600, as temporary files have.
        partial = NamedTemporaryFile(  # noqa: SIM115  # it is closed and renamed below
            dir=path.parent, prefix=f".{path.name}.", suffix=".partial", delete=False
        )
    except OSError as error:
        raise LocalError(f"can't write {path}: {error.strerror}") from error
    signal.signal(signal.SIGTERM, _end)  # so that what is partial is taken away
    try:
        with partial:
            yield cast("BinaryIO", partial)
            partial.flush()
            os.fsync(partial.fileno())
        Path(partial.name).replace(path)
    except BaseException:
        Path(partial.name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
