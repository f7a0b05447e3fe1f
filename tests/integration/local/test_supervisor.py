"""The supervisor keeps its children running, tells how they are, and leaves none behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil
import pytest

from infrastructure.local.control import start_detached
from infrastructure.local.errors import LocalError
from infrastructure.local.identity import identity

from .conftest import PROGRAM, Platform

Ends = Callable[[Sequence[int]], None]


def test_status_shows_every_process_and_its_port(platform: Platform) -> None:
    url = platform.up()["url"]
    shown = platform.run("status", "--json")
    assert shown.returncode == 0
    answer = json.loads(shown.stdout)
    assert answer["url"] == url
    for row, name in zip(answer["processes"], ("first", "second"), strict=True):
        assert set(row) == {"name", "pid", "port", "state", "restarts"}
        assert (row["name"], row["state"], row["restarts"]) == (name, "ready", 0)
        assert str(row["port"]) in _command_line(row["pid"])


def test_a_killed_child_is_restarted_on_its_port_and_counted(platform: Platform) -> None:
    platform.up()
    before = platform.process("first")
    os.kill(before["pid"], signal.SIGKILL)
    after = platform.wait_until("first", state="ready", restarts=1)
    assert after["pid"] != before["pid"]
    assert after["port"] == before["port"]
    assert platform.process("second")["restarts"] == 0


def test_a_child_that_hangs_is_shown_as_unready_until_it_answers(platform: Platform) -> None:
    platform.up()
    pid = platform.process("first")["pid"]
    os.kill(pid, signal.SIGSTOP)
    platform.wait_until("first", state="unready", restarts=0)
    assert platform.process("second")["state"] == "ready"
    os.kill(pid, signal.SIGCONT)
    assert platform.wait_until("first", state="ready", restarts=0)["pid"] == pid


def test_down_ends_all_and_says_so(platform: Platform, all_end: Ends) -> None:
    platform.up()
    pids = platform.pids()
    assert len(pids) == 3
    down = platform.run("down")
    assert (down.returncode, "is down" in down.stdout) == (0, True)
    all_end(pids)
    again = platform.run("down")
    assert (again.returncode, "No platform is running" in again.stdout) == (0, True)
    shown = platform.run("status", "--json")
    assert shown.returncode == 3
    assert json.loads(shown.stdout) == {
        "url": None,
        "processes": [],
        "lag": [],
        "services": [],
        "tasks": [],
    }


def test_a_child_that_ignores_the_signal_is_killed_after_the_grace(
    platform: Platform, all_end: Ends
) -> None:
    platform.up("stubborn")
    pids = platform.pids()
    started = time.monotonic()
    assert platform.run("down").returncode == 0
    assert time.monotonic() - started > 1
    all_end(pids)


@pytest.mark.skipif(sys.platform != "linux", reason="the leash is the Linux kernel's")
def test_children_die_with_a_killed_supervisor(platform: Platform, all_end: Ends) -> None:
    platform.up("stubborn")
    pids = platform.pids()
    os.kill(pids[0], signal.SIGKILL)
    all_end(pids)
    assert platform.run("status").returncode == 3
    assert platform.up()["phase"] == "ready"


def test_up_ends_what_a_killed_supervisor_left(platform: Platform) -> None:
    platform.home.open()
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        _write_state_naming(platform, left.pid, birth=None)
        platform.up()
        left.wait(timeout=5)
    finally:
        left.kill()
        left.wait()


def test_up_leaves_a_stranger_with_a_recycled_pid_alone(platform: Platform) -> None:
    platform.home.open()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        _write_state_naming(platform, stranger.pid, birth="ticks:1")
        platform.up()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("broken", ("second ended with exit code 1, 4 times", "broken on purpose")),
        ("disk-full", ("second", "the disk is full", "No space left on device")),
        ("deaf", ("second was not ready after 5 s", "the stand-in starts")),
    ],
)
def test_a_start_that_fails_says_who_and_why_and_leaves_nothing(
    platform: Platform, plan: str, said: tuple[str, ...]
) -> None:
    states: list[dict[str, Any]] = []
    with pytest.raises(LocalError) as failure:
        start_detached(platform.home, states.append, [sys.executable, str(PROGRAM), plan])
    for part in said:
        assert part in str(failure.value)
    assert "Traceback" not in str(failure.value)
    pids = {row["pid"] for state in states for row in state["processes"] if row["pid"]}
    assert pids
    assert not any(identity(pid) for pid in pids)
    assert platform.run("status").returncode == 3


def test_a_second_up_says_that_it_is_up(platform: Platform) -> None:
    first = platform.up()
    detached, foreground = platform.run("up", "-d"), platform.run("up")
    assert (detached.returncode, foreground.returncode) == (0, 1)
    assert f"was up already: {first['url']}" in detached.stdout
    assert first["url"] in foreground.stderr
    assert platform.up()["supervisor"] == first["supervisor"]


def test_ctrl_c_in_the_foreground_stops_all_with_exit_code_0(
    platform: Platform, all_end: Ends
) -> None:
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), "good"],
        env={**os.environ, "ORDERTRAIL_HOME": str(platform.home.path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "ready\n":
                break
        pids = platform.pids()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    all_end(pids)


def test_two_homes_run_side_by_side(new_platform: Callable[[str], Platform]) -> None:
    one, other = new_platform("one"), new_platform("other")
    one.up()
    other.up()
    ports = {row["port"] for each in (one, other) for row in map(each.process, ("first", "second"))}
    assert len(ports) == 4
    assert one.run("down").returncode == 0
    assert other.process("first")["state"] == "ready"


def test_ports_are_kept_unless_they_are_taken(platform: Platform) -> None:
    platform.up()
    first, second = platform.process("first")["port"], platform.process("second")["port"]
    platform.run("down")
    thief = [sys.executable, str(PROGRAM.with_name("stand_in.py")), str(first), "good"]
    with subprocess.Popen(thief, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.readline()
        time.sleep(0.3)
        platform.up()
        process.terminate()
    assert platform.process("first")["port"] != first
    assert platform.process("second")["port"] == second


def test_a_log_is_bounded_and_the_old_one_kept(platform: Platform) -> None:
    platform.home.open()
    log = platform.home.log("first")
    log.write_bytes(b"old line\n" * 1_200_000)
    platform.up()
    assert log.stat().st_size < 10_000
    assert log.with_name("first.log.1").stat().st_size == 10_800_000


def _write_state_naming(platform: Platform, pid: int, birth: str | None) -> None:
    found = identity(pid)
    assert found is not None
    row = {"pid": pid, "birth": birth or found.birth, "stop_signal": int(signal.SIGTERM)}
    state = {"supervisor": 1, "processes": [row]}
    (platform.home.path / "state.json").write_text(json.dumps(state))


def _command_line(pid: int) -> str:
    return " ".join(psutil.Process(pid).cmdline())
