"""The rejects file: line number, reason, then the row as it came, so it can be mended and run.

Rule: it appears whole or not at all, and whether it can be written is known before anything is
placed.
"""

import contextlib
import csv
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from api.importing.spill import Spill


class RejectsFileError(Exception):
    """The rejects file can't be written."""


class RejectsFile:
    """A file beside `path` that takes its name once it is complete."""

    def __init__(self, path: Path, draft: Path) -> None:
        self.path = path
        self._draft = draft

    def write(self, spill: Spill, header: list[str]) -> None:
        """Write all refused rows. Bytes that weren't UTF-8 come out as they came in."""
        try:
            with self._draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as f:
                writer = csv.writer(f)
                writer.writerow(["line_number", "reason", *header])
                writer.writerows([row.line, row.reason, *row.original] for row in spill.refused())
            self._draft.replace(self.path)
        except OSError as error:
            raise RejectsFileError(f"{self.path}: {error.strerror or error}") from error


@contextlib.contextmanager
def rejects_file(path: Path, source: Path) -> Iterator[RejectsFile]:
    """Make sure that the file can be written; leave nothing behind if it never is.

    Raises:
        RejectsFileError: it can't be, or it would overwrite the source.
    """
    if path.is_dir():
        raise RejectsFileError(f"{path}: is a directory")
    if path.exists() and path.samefile(source):
        raise RejectsFileError(f"{path}: the rejects would overwrite the file that is imported")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise RejectsFileError(f"{path}: {error.strerror or error}") from error
    try:
        yield RejectsFile(path, Path(name))
    finally:
        Path(name).unlink(missing_ok=True)
