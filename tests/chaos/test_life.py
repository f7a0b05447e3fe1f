"""The whole life of many orders, with every process killed at random: nobody is owed anything."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from unittest import mock

import httpx
import psycopg
import pytest

from domain.ids import OrderId
from infrastructure import composition
from infrastructure.settings import StoreSettings
from tests.agreement import OFF, OVER, Books, assert_agreement, read_books
from tests.chaos.extent import extent
from tests.chaos.life import Life, at_work
from tests.chaos.test_wipes import _wipe
from tests.consistency import assert_consistent, count
from tests.live_platform import LivePlatform, live_platform

ORDERS = extent(40, 2_000)
SERVICES = ("fulfilment", "inventory", "payment")
VICTIMS = (*SERVICES, *SERVICES, "relay", "projector", "command-api")
SERVERS = ("kafka", "redis", "postgres")
LONGEST_PAUSE_S = extent(1.0, 3.0)
REST_WITHIN_S = extent(180.0, 900.0)
QUIET_S = 6.0
FAST = '{"answer_s": 5, "authorize_pause_s": 1, "retry_pause_s": 1, "longest_pause_s": 10}'


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    home = tmp_path_factory.mktemp("life") / "home"
    with live_platform(home, {"ORDERTRAIL_SAGA_TIMING": FAST}) as started:
        yield started


async def test_money_stock_and_parcels_agree_with_every_status_whoever_is_killed(
    town: LivePlatform, draw: random.Random
) -> None:
    url = town.settings["ORDERTRAIL_POSTGRES_URL"]
    with mock.patch.dict(os.environ, town.settings):
        store = StoreSettings()
    headers = {"Authorization": f"Bearer {town.token('customer', 'c-1')}"}
    async with (
        composition.command_ports(store) as ports,
        httpx.AsyncClient(
            base_url=town.url, headers=headers, timeout=30, trust_env=False
        ) as customers,
        at_work(Life(draw, ports, customers, url)) as life,
    ):
        await life.stock(LAMP=3 * ORDERS, HEART=3 * ORDERS, RARE=ORDERS)
        placing = asyncio.create_task(life.place(ORDERS))
        for victim in _victims(draw):
            await asyncio.sleep(draw.uniform(0.1, LONGEST_PAUSE_S))
            await asyncio.to_thread(town.kill, victim)
            if victim in SERVERS:
                await asyncio.to_thread(town.await_ready, victim)
        await placing
        statuses = await _await_rest(town)
        print(f"{len(life.placed)} placed: {dict(statuses)}")  # noqa: T201 - for the reader
        books = await read_books(url, ports)
        assert set(books.files) == set(life.placed)
        assert_agreement(books)
        assert {one for one in books.statuses() if one not in OVER} == set()
        for order_id in life.sent:
            assert _status(books, order_id) == "completed"
        for order_id in life.cancelled:
            assert _status(books, order_id) in OFF

        before = count(town.settings)
        await asyncio.to_thread(town.kill, "kafka", _wipe(town, "kafka"))
        await asyncio.to_thread(town.await_ready, "kafka", "relay", *SERVICES)
        await _await_rest(town)
        assert count(town.settings) == before, "something happened twice after a replay"
        assert_agreement(await read_books(url, ports))
    assert_consistent(town.settings)


def _victims(draw: random.Random) -> list[str]:
    rounds = extent(1, 10)
    victims = [one for _ in range(rounds) for one in draw.sample(VICTIMS, len(VICTIMS))]
    for server in SERVERS:
        victims.insert(draw.randrange(len(victims)), server)
    return victims


async def _await_rest(town: LivePlatform) -> Counter[str]:
    """Wait until no order is under way and nothing was stored for a while."""
    until = time.monotonic() + REST_WITHIN_S
    last, since = -1, time.monotonic()
    while True:
        assert time.monotonic() < until, f"no rest: {_statuses(town)}"
        events, statuses = count(town.settings).events, _statuses(town)
        if events != last:
            last, since = events, time.monotonic()
        under_way = any(statuses[one] for one in ("pending", "confirmed", "cancel_pending"))
        if not under_way and time.monotonic() - since > QUIET_S:
            return statuses
        await asyncio.sleep(0.5)


LATEST = """
SELECT coalesce(last, 'pending') AS status, count(*) FROM (
    SELECT order_id, max(CASE topic
        WHEN 'order.completed.v1' THEN 'completed' WHEN 'order.rejected.v1' THEN 'rejected'
        WHEN 'order.expired.v1' THEN 'expired' WHEN 'order.cancelled.v2' THEN 'cancelled' END)
        AS last
    FROM events WHERE topic LIKE 'order.%' GROUP BY order_id) o GROUP BY 1
"""


def _statuses(town: LivePlatform) -> Counter[str]:
    with psycopg.connect(town.settings["ORDERTRAIL_POSTGRES_URL"]) as connection:
        return Counter(dict(connection.execute(LATEST).fetchall()))


def _status(books: Books, order_id: OrderId) -> str:
    order = books.files[order_id].order.state
    assert order is not None
    return str(order.status)
