"""The demo's people outlast their tokens: a slow story takes hours."""

from itertools import count

import httpx
import pytest

from api.cli.demo import tell
from api.cli.demo.story import Ending, Purchase, Story, Ware
from api.cli.demo.tell import Teller

DONE = {"available": 0, "order_id": "o", "position": 1, "shipment_id": "parcel-1", "return_id": "r"}
STORY = Story([Ware("A", "Lamp", 100, 5)], [Purchase(2, "c-1", {"A": 1}, "card", Ending.RETURNED)])


async def test_a_token_is_minted_for_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tell, "_ledger", lambda _orders: {})
    tokens: list[str] = []
    looks, numbers = count(), count()

    def answer(request: httpx.Request) -> httpx.Response:
        tokens.append(request.headers["Authorization"])
        if request.method == "POST":
            return httpx.Response(201, json=DONE)
        status = "completed" if next(looks) else "confirmed"
        shown = {"status": status, "payment": {"action_url": None}, "returns": [], "order_id": "o"}
        return httpx.Response(200, json=shown)

    edge = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=edge, base_url="http://ordertrail.test") as client:
        teller = Teller(client, lambda role, _who: f"{role}-{next(numbers)}", speed=0)
        await teller.play(STORY, lambda _statuses: None)
    assert len(set(tokens)) == len(tokens)
    assert {token.split()[1].split("-")[0] for token in tokens} == {
        "customer",
        "merchant",
        "support",
    }
