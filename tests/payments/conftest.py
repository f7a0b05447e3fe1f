"""Both payment providers, really running: PostgreSQL under the sandbox, the emulator of Stripe."""

import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from infrastructure.local.leash import leashed
from infrastructure.local.ports import free_port, is_free
from infrastructure.payments.sandbox import SandboxGateway, open_sandbox
from infrastructure.payments.stripe_gateway import StripeConfig, StripeGateway
from tests.payments.providers import API_KEY, SECRET, Provider, Sandbox, Stripe, Tokens, new_card

START_S = 60.0


@pytest.fixture(scope="session")
def emulator_url(servers_dir: Path) -> Iterator[str]:
    port = free_port()
    program = [sys.executable, str(Path(__file__).with_name("emulator.py")), str(port)]
    with (servers_dir / "emulator.log").open("wb") as log:
        process = subprocess.Popen(leashed(program, signal.SIGKILL), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while is_free(port):
            assert process.poll() is None, (servers_dir / "emulator.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def stripe(emulator_url: str) -> AsyncIterator[Stripe]:
    gateway = StripeGateway(StripeConfig(API_KEY, SECRET, api_base=emulator_url))
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(base_url=emulator_url, headers=headers) as http:
        tokens = Tokens(
            good=await new_card(http, "4242424242424242"),
            declined=await new_card(http, "4000000000000341"),
            action=await new_card(http, "4000002500003155"),
        )
        yield Stripe(gateway, http, tokens)
        await gateway.close()


@pytest.fixture
async def sandbox_gateway(database_url: str) -> AsyncIterator[SandboxGateway]:
    async with open_sandbox(database_url, SECRET) as gateway:
        yield gateway


@pytest.fixture
def sandbox(sandbox_gateway: SandboxGateway) -> Sandbox:
    return Sandbox(sandbox_gateway)


@pytest.fixture(params=["sandbox", "stripe"])
def provider(request: pytest.FixtureRequest) -> Provider:
    chosen: Provider = request.getfixturevalue(request.param)
    return chosen
