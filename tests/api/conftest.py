"""Both apps over fakes, called as HTTP without a socket."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.api.api import Api


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def api(runner: asyncio.Runner) -> Api:
    return Api(runner)
