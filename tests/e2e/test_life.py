"""The whole life of orders on a running platform, over HTTP alone: the demo's story is played."""

import os
from unittest import mock

import httpx

from api.cli.demo.command import FIRST_DAY
from api.cli.demo.story import write_story
from api.cli.demo.tell import OVER, Teller
from tests.live_platform import LivePlatform

ORDERS = 25


async def test_customers_order_and_everybody_is_even_in_the_end(platform: LivePlatform) -> None:
    shown: list[int] = []
    async with httpx.AsyncClient(base_url=platform.url, timeout=60, trust_env=False) as client:
        with mock.patch.dict(os.environ, platform.settings):
            teller = Teller(client, platform.token, speed=0)
            told = await teller.play(
                write_story(3, ORDERS, FIRST_DAY), lambda statuses: shown.append(statuses.total())
            )
    statuses = told.statuses()
    assert set(statuses) <= set(OVER)
    assert statuses["completed"] > ORDERS / 2
    assert statuses["cancelled"]
    assert statuses["rejected"]
    assert shown[-1] == ORDERS
    assert told.confirmed
    assert told.scanned
    taken, back = told.money()
    assert not told.unsettled()
    assert told.differing() == []
    assert taken > back > 0
    for document in told.documents.values():
        kept = document["payment"]["captured_minor"] - document["payment"]["refunded_minor"]
        if document["status"] != "completed":
            assert kept == 0
        elif document["return_status"] == "none":
            assert kept == document["money"]["total_minor"]
            assert document["fulfillment_status"] == "delivered"
