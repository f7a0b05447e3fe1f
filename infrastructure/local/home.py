"""The home of one local platform: its data, keys, logs, and what is remembered between starts.

One folder (ORDERTRAIL_HOME, `.ordertrail` by default) holds everything, for its owner only. Every
file in it that is read again is written whole or not at all. A home of another format is refused:
its data would be misread.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infrastructure.local.errors import LocalError
from infrastructure.local.ports import free_port, is_free

FORMAT = 1
FREE_BYTES_NEEDED = 500_000_000
DEFAULT_PORT = 8000
HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Home:
    path: Path

    @classmethod
    def current(cls) -> "Home":
        """Name the home that this shell means; it need not exist."""
        return cls(Path(os.environ.get("ORDERTRAIL_HOME") or ".ordertrail").absolute())

    @property
    def environment_file(self) -> Path:
        return self.path / "environment.json"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def open(self) -> None:
        """Make the home if there is none, and see that it can be used.

        Raises:
            LocalError: it is of another format, it is somebody else's folder, or the disk is full.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_format()
            if (full := self.full_disk(FREE_BYTES_NEEDED)) is not None:
                raise LocalError(full)
            self.path.chmod(0o700)
            if not (self.path / "format").exists():
                write_whole(self.path / "format", f"{FORMAT}\n")
            (self.path / "logs").mkdir(exist_ok=True)
        except OSError as error:
            raise LocalError(f"{self.path} can't be used: {error.strerror}") from error

    def _check_format(self) -> None:
        mark = self.path / "format"
        if not mark.exists():
            # An earlier start may have ended just while it wrote the mark.
            if any(not entry.name.startswith(".format.") for entry in self.path.iterdir()):
                raise LocalError(
                    f"{self.path} is not empty, and is no home of Ordertrail: "
                    "set ORDERTRAIL_HOME to another folder"
                )
        elif (found := mark.read_text().strip()) != str(FORMAT):
            raise LocalError(
                f"the data in {self.path} has format {found}, this version has format {FORMAT} and "
                f"can't read it. To start afresh, without the old data: rm -r {self.path}"
            )

    def full_disk(self, needed_bytes: int) -> str | None:
        """Say that the disk has less than this left, or None if it hasn't."""
        free = shutil.disk_usage(self.path).free
        if free >= needed_bytes:
            return None
        return (
            f"the disk of {self.path} is full: {free // 1_000_000} MB are free, "
            f"{needed_bytes // 1_000_000} MB are needed"
        )

    def remembered_ports(self, names: Iterable[str], avoid: int) -> Mapping[str, int]:
        """Give each name the port that it had, or a new one where that is taken now."""
        file = self.path / "ports.json"
        known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        ports: dict[str, int] = {}
        for name in names:
            drawn = {avoid, *ports.values()}
            old = known.get(name)
            keep = old is not None and old not in drawn and is_free(old)
            ports[name] = old if keep and old is not None else free_port(drawn)
        write_whole(file, json.dumps(ports))
        return ports


def edge_port() -> int:
    """Read the port that the user wants the edge on: ORDERTRAIL_PORT, or 8000."""
    wanted = os.environ.get("ORDERTRAIL_PORT") or str(DEFAULT_PORT)
    if not wanted.isdecimal() or not 1 <= int(wanted) <= HIGHEST_PORT:
        raise LocalError(f"ORDERTRAIL_PORT={wanted} is no port: give a number up to {HIGHEST_PORT}")
    return int(wanted)


def load_home_environment(without: Collection[str] = ()) -> None:
    """Set what the platform of this home told its services, where the shell doesn't say otherwise.

    For commands that run outside of the supervisor. What is `without` is left out.

    Raises:
        LocalError: there is no platform here yet.
    """
    file = Home.current().environment_file
    try:
        environment: Mapping[str, str] = json.loads(file.read_text())
    except FileNotFoundError:
        raise LocalError(
            f"there is no platform in {file.parent} yet: start it with `./run up`"
        ) from None
    for name, value in environment.items():
        if name not in without:
            os.environ.setdefault(name, value)


def write_whole(file: Path, text: str, *, mode: int = 0o600, durable: bool = True) -> None:
    """Write a file so that a reader, or a crash, sees the old text or the new, nothing between."""
    descriptor, unfinished = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w") as output:
            output.write(text)
            output.flush()
            if durable:
                os.fsync(output.fileno())
        Path(unfinished).chmod(mode)
        Path(unfinished).replace(file)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
