"""One whole platform for all end-to-end tests; each uses orders of its own."""

from collections.abc import Iterator

import pytest

from tests.live_platform import LivePlatform, live_platform
from tests.shop import Shop


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    with live_platform(tmp_path_factory.mktemp("e2e") / "home") as started:
        yield started
        # Whatever the tests did: nothing may have been our fault.
        assert started.faults() == []


@pytest.fixture(scope="package")
def shop(platform: LivePlatform) -> Iterator[Shop]:
    with platform.caller("service", "my-shop") as client:
        yield Shop(client)
