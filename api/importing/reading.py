"""Reads the file record by record, each with the physical line on which it starts.

Rule: whatever the bytes are, memory stays bounded and every record is handed on: a record that
can't be read is a record too. Only a file that isn't such a CSV at all is refused, before
anything is placed.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
LONGEST_LINE = 1_000_000
"""Characters. An order's row has a hundred; a file without line ends is something else."""
MOST_RAW_LINES = 1_000
"""What is kept of a record that can't be parsed, for the rejects file."""


class NotAnOrderFileError(Exception):
    """The file can't be read, or isn't a CSV with the columns that are needed."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the file.

    Attributes:
        line: the physical line on which it starts; the header is on line 1.
        original: the fields as they came.
        fields: by column, stripped; None where the record doesn't fit the header.
    """

    line: int
    original: list[str]
    fields: dict[str, str] | None


class OrderFile:
    """An open CSV of orders. Bytes that aren't UTF-8 survive as lone surrogates, to be refused."""

    def __init__(self, path: Path) -> None:
        """Open it and read its header. Raises NotAnOrderFileError."""
        try:
            self._binary = path.open("rb")
        except OSError as error:
            raise NotAnOrderFileError(f"{path}: {error.strerror or error}") from error
        self._path = path
        self._raw: list[str] = []
        self._text = io.TextIOWrapper(
            self._binary, encoding="utf-8-sig", errors="surrogateescape", newline=""
        )
        self._reader = csv.reader(self._lines())
        try:
            self.header = self._read_header()
            self.size_bytes = path.stat().st_size
        except BaseException:
            self._text.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._text.close()

    def bytes_read(self) -> int:
        """Give how far the reading is, in bytes; 0 where the file has no position, as a pipe."""
        return self._binary.tell() if self._binary.seekable() else 0

    def records(self) -> Iterator[Record]:
        """Give all records after the header; blank lines are none. Raises NotAnOrderFileError."""
        while True:
            line = self._reader.line_num + 1
            self._raw.clear()
            try:
                original = next(self._reader)
            except StopIteration:
                return
            except csv.Error:
                raw = "".join(self._raw).rstrip("\r\n")
                yield Record(line, [raw], None)
                continue
            if original:
                yield Record(line, original, self._by_column(original))

    def _by_column(self, original: list[str]) -> dict[str, str] | None:
        if len(original) != len(self.header):
            return None
        return {
            name: original[index].strip(" \t\r\n") for name, index in self._index_by_column.items()
        }

    def _read_header(self) -> list[str]:
        try:
            header = next(self._reader, None)
        except csv.Error as error:
            raise NotAnOrderFileError(f"{self._path}: not a CSV: {error}") from error
        if not header:
            raise NotAnOrderFileError(f"{self._path}: empty, or without a header on line 1")
        names = [name.strip() for name in header]
        missing = [name for name in COLUMNS if names.count(name) != 1]
        if missing:
            raise NotAnOrderFileError(
                f"{self._path}: line 1 must name each of these columns once: {', '.join(missing)}"
            )
        self._index_by_column = {name: names.index(name) for name in COLUMNS}
        return names

    def _lines(self) -> Iterator[str]:
        number = 0
        while True:
            try:
                line = self._text.readline(LONGEST_LINE + 1)
            except OSError as error:
                raise NotAnOrderFileError(f"{self._path}: {error.strerror or error}") from error
            if not line:
                return
            number += 1
            if len(line) > LONGEST_LINE:
                raise NotAnOrderFileError(
                    f"{self._path}: line {number} is over {LONGEST_LINE:,} characters: "
                    "not a CSV of orders"
                )
            if len(self._raw) < MOST_RAW_LINES:
                self._raw.append(line)
            yield line
