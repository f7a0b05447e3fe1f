"""The demo goes on while a process is down for a moment, and does nothing twice."""

import httpx
import pytest

from api.cli.demo import again, tell
from api.cli.demo.outside import Outside
from api.cli.demo.story import Story, Ware
from api.cli.demo.tell import Teller

URL = "http://ordertrail.test"
SCAN = {"status": "delivered", "scanned_at": "2026-11-01T10:00:00Z"}


class Restarting:
    """An edge that isn't there at first, then without its service, and then answers.

    Attributes: came: what was asked, each time.
    """

    def __init__(self) -> None:
        self.came: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.came.append(request)
        if len(self.came) == 1:
            raise httpx.ConnectError("refused")
        if len(self.came) == 2:
            return httpx.Response(503, json={"code": "upstream_unavailable"})
        return httpx.Response(201, json={"available": 5})

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self), base_url=URL)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "AGAIN_S", 0.0)


async def test_what_the_merchant_says_is_said_again_under_its_first_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tell, "_ledger", lambda _orders: {})
    edge = Restarting()
    async with edge.client() as client:
        teller = Teller(client, lambda role, subject: f"{role} {subject}", speed=0)
        await teller.play(Story([Ware("A", "Lamp", 100, 5)], []), lambda _statuses: None)
    assert len(edge.came) == 3
    assert len({one.headers["Idempotency-Key"] for one in edge.came}) == 1
    assert len({one.content for one in edge.came}) == 1


async def test_what_a_carrier_tells_is_told_again_under_its_first_signature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ORDERTRAIL_CARRIER_WEBHOOK_SECRET", "whsec_" + "A" * 32)
    edge = Restarting()
    async with edge.client() as client:
        await Outside(client).scan("N1", SCAN)
    assert len(edge.came) == 3
    assert len({one.headers["webhook-signature"] for one in edge.came}) == 1


async def test_it_gives_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "WITHIN_S", 0.0)
    edge = Restarting()
    async with edge.client() as client:
        with pytest.raises(httpx.ConnectError):
            await again.insist(lambda: client.get("/"))
        assert (await again.insist(lambda: client.get("/"))).status_code == 503
