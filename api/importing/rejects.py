"""The rejects file: line number, reason, then the row as it came, so it can be mended and run.

Rule: it appears whole or not at all, and whether it can be written is known before anything is
placed.
"""

import csv
import os
import tempfile
from pathlib import Path

from api.importing.spill import Spill


class RejectsFileError(Exception):
    """The rejects file can't be written."""


class RejectsFile:
    """The file to be. Making this checks that it can be written, and leaves nothing behind."""

    def __init__(self, path: Path, source: Path) -> None:
        """Check the path.

        Raises:
            RejectsFileError: it can't be written, or it would overwrite the source.
        """
        self._path = path
        if path.is_dir():
            raise RejectsFileError(f"{path}: is a directory")
        if path.exists() and path.samefile(source):
            raise RejectsFileError(f"{path}: would overwrite the file that is imported")
        self._new_draft().unlink()

    def write(self, spill: Spill, header: list[str]) -> None:
        """Write all refused rows. Bytes that weren't UTF-8 come out as they came in.

        Raises:
            RejectsFileError: it can't be written any more.
        """
        draft = self._new_draft()
        try:
            with draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["line_number", "reason", *header])
                writer.writerows([row.line, row.reason, *row.original] for row in spill.refused())
            draft.replace(self._path)
        except OSError as error:
            raise RejectsFileError(f"{self._path}: {error.strerror or error}") from error
        finally:
            draft.unlink(missing_ok=True)

    def _new_draft(self) -> Path:
        try:
            handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
            os.close(handle)
        except OSError as error:
            raise RejectsFileError(f"{self._path}: {error.strerror or error}") from error
        return Path(name)
