"""A town of services on a database of its own, with clocks that run fast."""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infrastructure import composition
from infrastructure.payments.sandbox import open_sandbox
from infrastructure.settings import Settings
from tests.integration.services.provider import Watched

FAST = (
    '{"reserve_s": 30, "answer_s": 1, "authorize_pause_s": 1, "retry_pause_s": 1,'
    ' "longest_pause_s": 2}'
)


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    key = tmp_path / "master.key"
    key.write_text(base64.b64encode(os.urandom(32)).decode())
    for name, value in {
        "POSTGRES_URL": database_url,
        "MASTER_KEY_FILE": str(key),
        "PAYMENT_PROVIDER": "sandbox",
        "PAYMENT_WEBHOOK_SECRET": "whsec",
        "SAGA_TIMING": FAST,
    }.items():
        monkeypatch.setenv(f"ORDERTRAIL_{name}", value)
    return Settings()


@pytest.fixture
async def gateway(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Watched]:
    del settings  # only what it puts into the environment
    async with open_sandbox(database_url, "whsec") as sandbox:
        watched = Watched(sandbox)

        @asynccontextmanager
        async def wired(_: Settings) -> AsyncIterator[Watched]:
            yield watched

        monkeypatch.setattr(composition, "payment_gateway", wired)
        yield watched
