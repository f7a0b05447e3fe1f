"""Platforms of stand-ins in homes of their own; every one is down when its test ends."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from infrastructure.local.control import start_detached, stop_platform
from infrastructure.local.home import Home

PROGRAM = Path(__file__).with_name("stand_in_platform.py")


class Platform:
    """What a person in a shell with this ORDERTRAIL_HOME can do."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def up(self, plan: str = "good") -> Mapping[str, Any]:
        """Start it in the background with a plan of stand_in_platform.py."""
        state, _ = start_detached(self.home, lambda _: None, [sys.executable, str(PROGRAM), plan])
        return state

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the real command line."""
        return subprocess.run(
            [sys.executable, "-m", "api.cli.main", *arguments],
            env={**os.environ, "ORDERTRAIL_HOME": str(self.home.path), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    def process(self, name: str) -> Mapping[str, Any]:
        shown = json.loads(self.run("status", "--json").stdout)["processes"]
        row: Mapping[str, Any] = next(row for row in shown if row["name"] == name)
        return row

    def wait_until(self, name: str, **wanted: object) -> Mapping[str, Any]:
        """Wait until `status` shows this of a process."""
        deadline = time.monotonic() + 30
        while True:
            row = self.process(name)
            if all(row[field] == value for field, value in wanted.items()):
                return row
            assert time.monotonic() < deadline, f"{name} is {row}, wanted {wanted}"

    def pids(self) -> Sequence[int]:
        """List every process of the platform, whatever its children are."""
        state = json.loads((self.home.path / "state.json").read_text())
        supervisor = psutil.Process(state["supervisor"])
        return [process.pid for process in (supervisor, *supervisor.children(recursive=True))]


def assert_all_end(pids: Sequence[int], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while left := [pid for pid in pids if _lives(pid)]:
        assert time.monotonic() < deadline, [psutil.Process(pid) for pid in left]
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def all_end() -> Callable[[Sequence[int]], None]:
    return assert_all_end


@pytest.fixture
def new_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Platform]]:
    monkeypatch.delenv("ORDERTRAIL_PORT", raising=False)
    made: list[Platform] = []

    def new(name: str) -> Platform:
        made.append(Platform(Home(tmp_path / name)))
        return made[-1]

    yield new
    for platform in made:
        stop_platform(platform.home)


@pytest.fixture
def platform(new_platform: Callable[[str], Platform]) -> Platform:
    return new_platform("home")
