"""A worker begins again after a fault, and takes nothing of the failed try along."""

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from infrastructure.processes import worker
from infrastructure.processes.worker import Health


class Client:
    """Stands for what has threads of its own until it is collected."""


@pytest.fixture
def rarely_collecting() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(1_000_000)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("rarely_collecting")
def test_what_a_failed_try_has_opened_is_gone_before_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "FIRST_PAUSE_S", 0.0)
    stopping = threading.Event()
    opened: list[weakref.ref[Client]] = []
    alive: list[int] = []

    def work(_: threading.Event, __: Health) -> None:
        alive.append(sum(one() is not None for one in opened))
        if len(alive) == 4:
            stopping.set()
            return
        client = Client()
        opened.append(weakref.ref(client))
        error = ConnectionError("away")
        error.add_note(str(client))
        error.__cause__ = RuntimeError(error)  # a circle, as tasks and pools make
        raise error

    worker._work_until(stopping, work, Health())
    assert alive == [0, 0, 0, 0]
