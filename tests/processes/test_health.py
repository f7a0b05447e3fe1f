"""What a worker says of itself."""

import time

import pytest

from infrastructure.processes.worker import SILENT_S, Health


def test_a_worker_is_ready_while_its_work_goes_on() -> None:
    health = Health()
    assert health.problem == "starting"
    health.good()
    assert health.problem is None
    health.bad("no Kafka")
    assert health.problem == "no Kafka"


def test_one_that_hangs_is_not_ready_though_it_can_not_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    health = Health()
    health.good()
    later = time.monotonic() + SILENT_S + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert health.problem == "its work has not gone on for 301 s"
    health.good()
    assert health.problem is None
