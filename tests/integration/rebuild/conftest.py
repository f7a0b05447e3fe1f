"""A pipeline with rebuilds: in threads of this process where a test has to change the code."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import pytest

from infrastructure import composition
from infrastructure.rebuild import workers
from infrastructure.rebuild.pace import Pace, Stop
from infrastructure.rebuild.parts import Parts
from infrastructure.rebuild.run import Rebuild
from infrastructure.rebuild.workers import Workers
from tests.integration.pipeline.conftest import Pipeline, pipeline

__all__ = ["pipeline"]

Tell: TypeAlias = Callable[[str, int, int], None]


class ThreadWorkers(Workers):
    """One thread in the place of processes."""

    def __init__(self, parts: Parts) -> None:
        self._stop = Stop()
        self._pool: Any = ThreadPoolExecutor(1)
        workers._workers[:] = [workers._Worker(parts, Pace(self._stop, None))]


def open_parts(pipeline: Pipeline) -> Parts:
    return composition.rebuild_parts(pipeline.store, pipeline.views)


@contextmanager
def rebuilding(
    pipeline: Pipeline, tell: Tell = lambda *_: None, *, processes: int = 0
) -> Iterator[Rebuild]:
    """Give a rebuild, in processes of its own if so many are asked for."""
    parts = open_parts(pipeline)
    if processes:
        opening = partial(composition.rebuild_parts, pipeline.store, pipeline.views)
        working: Workers = Workers(opening, processes=processes)
    else:
        working = ThreadWorkers(parts)
    with working:
        yield Rebuild(parts, working, tell)
    parts.reader.close()
    parts.client.close()


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the log into many ranges, and these into many stretches."""
    monkeypatch.setattr("infrastructure.rebuild.log.EVENTS_A_RANGE", 10)
    monkeypatch.setattr("infrastructure.rebuild.log.ROWS_AT_A_TIME", 3)
    monkeypatch.setattr("infrastructure.rebuild.folds.EVENTS_A_STRETCH", 2)
