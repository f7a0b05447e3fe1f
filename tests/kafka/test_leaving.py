"""A consumer that can't leave its group ends its process, which somebody starts anew."""

import os
import threading

import pytest

from infrastructure.kafka import leaving
from infrastructure.kafka.leaving import HANGS, leave


class FakeConsumer:
    def __init__(self, fault: Exception | None = None, *, hangs: bool = False) -> None:
        self._fault, self._hangs = fault, hangs
        self.is_closed = False

    def close(self) -> None:
        if self._hangs:
            threading.Event().wait()
        if self._fault is not None:
            raise self._fault
        self.is_closed = True


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    monkeypatch.setattr(leaving, "WITHIN_S", 0.2)
    return statuses


def test_one_that_closes_has_left(ended: list[int]) -> None:
    consumer = FakeConsumer()
    leave(consumer)  # type: ignore[arg-type]
    assert consumer.is_closed
    assert ended == []


def test_one_that_hangs_ends_the_process(ended: list[int]) -> None:
    leave(FakeConsumer(hangs=True))  # type: ignore[arg-type]
    assert ended == [HANGS]


def test_a_fault_is_told(ended: list[int]) -> None:
    with pytest.raises(RuntimeError, match="no"):
        leave(FakeConsumer(RuntimeError("no")))  # type: ignore[arg-type]
    assert ended == []
