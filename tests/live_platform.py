"""A whole platform for drills: `ordertrail up -d` in a home of its own, and what is done to it.

Rule: nothing is left running. A warden runs `ordertrail down` when its standard input closes,
which the kernel does too where the test run is killed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import httpx
import psutil

from infrastructure.local.home import Home
from infrastructure.local.identity import ProcessIdentity, identity, lives
from infrastructure.local.keys import mint_token
from infrastructure.local.ports import free_port
from infrastructure.local.supervisor import read_state

CLI = (sys.executable, "-m", "api.cli.main")
WARDEN = "import subprocess, sys; sys.stdin.read(); sys.exit(subprocess.call(sys.argv[1:]))"
WITHIN_S = 60.0
CLI_WITHIN_S = 120.0


class LivePlatform:
    """What a person with a shell in this home can do to the platform."""

    def __init__(self, home: Path, extra: Mapping[str, str] = MappingProxyType({})) -> None:
        """Take a home, and settings that the shell of `up` has."""
        self.home = Home(home)
        self._extra = extra
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Mapping[str, str]:
        known: dict[str, str] = json.loads(self.home.environment_file.read_text())
        return known

    @property
    def environment(self) -> Mapping[str, str]:
        """Give the shell's variables, without what its owner may have set of Ordertrail."""
        kept = {name: v for name, v in os.environ.items() if not name.startswith("ORDERTRAIL_")}
        home, port = str(self.home.path), str(self.port)
        return {**kept, **self._extra, "ORDERTRAIL_HOME": home, "ORDERTRAIL_PORT": port}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CLI, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=CLI_WITHIN_S,
        )

    def up(self) -> None:
        done = self.run("up", "-d")
        assert done.returncode == 0, done.stderr

    def down(self) -> None:
        done = self.run("down")
        assert done.returncode == 0, done.stderr

    def token(self, role: str, subject: str) -> str:
        with mock.patch.dict(os.environ, self.settings):
            return mint_token(role, subject, 3600)

    def caller(self, role: str, subject: str) -> httpx.Client:
        """Open a client of the edge with a token."""
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token(role, subject)}"},
            timeout=WITHIN_S,
            trust_env=False,
        )

    def process(self, name: str) -> Mapping[str, Any]:
        state = read_state(self.home)
        assert state is not None
        row: Mapping[str, Any] = next(row for row in state["processes"] if row["name"] == name)
        return row

    def kill(self, name: str, prepare: Callable[[], None] = lambda: None) -> None:
        """SIGKILL a process, just after `prepare`, and wait until it is started again."""
        before = self.process(name)
        prepare()
        os.kill(before["pid"], signal.SIGKILL)
        self._await_restart(before)

    def _await_restart(self, before: Mapping[str, Any]) -> None:
        until = time.monotonic() + WITHIN_S
        while (now := self.process(before["name"]))["restarts"] == before["restarts"] or (
            now["pid"] is None
        ):
            assert time.monotonic() < until, now
            time.sleep(0.02)

    @contextmanager
    def gone(self, name: str) -> Iterator[None]:
        """SIGKILL a process, which nobody starts again before the end of the block."""
        before, state = self.process(name), read_state(self.home)
        assert state is not None
        supervisor = psutil.Process(state["supervisor"])
        supervisor.send_signal(signal.SIGSTOP)
        try:
            os.kill(before["pid"], signal.SIGKILL)
            yield
        finally:
            supervisor.send_signal(signal.SIGCONT)
        self._await_restart(before)

    def await_ready(self, *names: str) -> None:
        until = time.monotonic() + WITHIN_S
        while any((row := self.process(name))["state"] != "ready" for name in names):
            assert time.monotonic() < until, row
            time.sleep(0.02)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a process and its children with SIGSTOP for the block: connections stay open."""
        parent = psutil.Process(self.process(name)["pid"])
        parent.send_signal(signal.SIGSTOP)  # first, so that it makes no more children
        stopped = [parent, *parent.children(recursive=True)]
        try:
            for process in stopped[1:]:
                with suppress(psutil.NoSuchProcess):  # a child may end just then
                    process.send_signal(signal.SIGSTOP)
            yield
        finally:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    def logs(self) -> Mapping[str, bytes]:
        return {file.name: file.read_bytes() for file in (self.home.path / "logs").iterdir()}

    def faults(self) -> list[str]:
        """List every log line that tells of a fault of ours: a 500, a traceback, a panic."""
        signs = (b"request_failed", b"Traceback", b'"status":500', b'"status": 500', b"panic:")
        return [
            f"{name}: {line.decode(errors='replace')[:500]}"
            for name, text in self.logs().items()
            for line in text.splitlines()
            if any(sign in line for sign in signs)
        ]


@contextmanager
def live_platform(
    home: Path, extra: Mapping[str, str] = MappingProxyType({})
) -> Iterator[LivePlatform]:
    """Start a platform, and take it down at the end of the block, whatever happens in it."""
    platform = LivePlatform(home, extra)
    warden = subprocess.Popen(
        [sys.executable, "-c", WARDEN, *CLI, "down"],
        env=platform.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the tests; it has to outlive them
    )
    started: list[ProcessIdentity] = []
    try:
        platform.up()
        yield platform
    finally:
        if (state := read_state(platform.home)) is not None:
            pids = [state["supervisor"], *(row["pid"] for row in state["processes"])]
            started = [one for pid in pids if pid and (one := identity(pid)) is not None]
        warden.communicate()
    assert warden.returncode == 0, "`ordertrail down` failed"
    assert [one for one in started if lives(one)] == []
