"""A consumer that can't leave its group ends its process, which somebody starts anew."""

import os
import threading

import pytest

from infrastructure.kafka import leaving
from infrastructure.kafka.leaving import HANGS, leave


class FakeConsumer:
    def __init__(self, fault: Exception | None = None, *, hangs_s: float = 0.0) -> None:
        self._fault, self._hangs_s = fault, hangs_s
        self.is_closed = False

    def close(self) -> None:
        threading.Event().wait(self._hangs_s)
        if self._fault is not None:
            raise self._fault
        self.is_closed = True


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    monkeypatch.setattr(leaving, "WITHIN_S", 0.2)
    monkeypatch.setattr(leaving, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(leaving, "_answers", lambda _: True)
    return statuses


def test_one_that_closes_has_left(ended: list[int]) -> None:
    consumer = FakeConsumer()
    leave(consumer, "nowhere")  # type: ignore[arg-type]
    assert consumer.is_closed
    assert ended == []


def test_one_that_hangs_ends_the_process(ended: list[int]) -> None:
    leave(FakeConsumer(hangs_s=3_600.0), "nowhere")  # type: ignore[arg-type]
    assert ended == [HANGS]


def test_one_that_waits_for_kafka_is_waited_for(
    ended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "_answers", lambda _: False)
    consumer = FakeConsumer(hangs_s=1.0)
    leave(consumer, "nowhere")  # type: ignore[arg-type]
    assert consumer.is_closed
    assert ended == []


def test_a_fault_is_told(ended: list[int]) -> None:
    with pytest.raises(RuntimeError, match="no"):
        leave(FakeConsumer(RuntimeError("no")), "nowhere")  # type: ignore[arg-type]
    assert ended == []
