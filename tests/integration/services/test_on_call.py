"""What `ordertrail saga` shows of real orders, and what people on call do with it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from domain.ids import OrderId
from domain.shipment.pieces import LineRequest
from infrastructure import composition
from infrastructure.observability.service_lag import FAILING_TRIES
from infrastructure.redis import layout
from infrastructure.redis.generations import Generations
from infrastructure.redis.refold import refold
from infrastructure.settings import Settings, ViewSettings
from tests.integration.services.conftest import FAST
from tests.integration.services.orders import place, stock
from tests.integration.services.test_life import A, status
from tests.integration.services.town import Town, open_town

NOWHERE = "redis://127.0.0.1:9/0"


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give up on money at once; with all settings that a platform has."""
    del settings  # only what it put into the environment
    monkeypatch.setenv("ORDERTRAIL_SAGA_TIMING", FAST.replace("}", ', "retry_for_s": 0}'))
    monkeypatch.setenv("ORDERTRAIL_KAFKA_BOOTSTRAP", "127.0.0.1:9")
    return Settings()


@pytest.fixture
async def town(settings: Settings) -> AsyncIterator[Town]:
    async with open_town(settings) as opened:
        await stock(opened.ports, A=10)
        yield opened


async def saga(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["saga", *arguments])


async def stuck_order(town: Town) -> OrderId:
    """Place an order of two pieces whose first parcel's money can't be taken."""
    order = await place(town.ports, "tok_captureFails", A=2)
    await town.rest()
    await town.send(order, [LineRequest(A, 1)])
    await town.rest()
    return order


async def test_a_stuck_step_is_shown_and_tried_again_and_can_be_left_out(town: Town) -> None:
    order = await stuck_order(town)
    shown = await saga("show", str(order))
    assert shown.exit_code == 0
    assert "capture " in shown.stdout
    assert ": stuck (failed)" in shown.stdout
    assert "it waits for the merchant's parcels" in shown.stdout

    before = (await town.file(order)).fulfilment.version
    tried = await saga("retry", str(order), "capture", "--dry-run")
    assert "nothing was done" in tried.stdout
    assert (await town.file(order)).fulfilment.version == before
    tried = await saga("retry", str(order))
    assert tried.exit_code == 0, tried.output
    assert (await town.file(order)).fulfilment.version == before + 1
    await town.rest()
    assert ": stuck, attempt 2 (failed)" in (await saga("show", str(order))).stdout

    left = await saga("skip", str(order), "capture", "--reason", "settled in cash")
    assert left.exit_code == 0, left.output
    await town.rest()
    shown = await saga("show", str(order))
    assert ": skipped, attempt 2 (settled in cash)" in shown.stdout
    again = await saga("skip", str(order), "capture", "--reason", "x")
    assert (again.exit_code, again.stderr) == (1, "capture is not stuck\n")


async def test_what_secures_an_order_is_not_left_out_and_nonsense_is_refused(town: Town) -> None:
    order = await place(town.ports, "tok_visa", A=1)
    await town.rest()
    assert (await saga("retry", str(order))).stderr == f"nothing of {order} is stuck\n"
    assert "there is no step pay: choose one of" in (await saga("retry", str(order), "pay")).stderr
    nobody = "01890000-0000-7000-8000-000000000000"
    assert (await saga("show", nobody)).stderr == f"no saga leads {nobody}\n"
    assert (await saga("show", "ZZZZ-ZZZZ")).stderr == "there is no order ZZZZ-ZZZZ\n"


async def test_a_reaction_that_keeps_failing_is_listed_and_freed_where_no_saga_is_yet(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await place(town.ports, "tok_visa", A=1)
    tasks = town.parts.tasks
    [placed] = ((await town.file(order)).order,)
    key = f"{order}/{placed.version}"

    await tasks.put("fulfilment.reactions", [(key, order, datetime.now(UTC))])
    for _ in range(FAILING_TRIES):
        [task] = await tasks.take("fulfilment.reactions", lease_s=60, limit=1)
        await tasks.put_off(task, seconds=0, problem="KeyError: it")
    [task] = await tasks.take("fulfilment.reactions", lease_s=60, limit=1)
    await tasks.put_off(task, seconds=600, problem="KeyError: it")

    monkeypatch.setenv("ORDERTRAIL_REDIS_URL", NOWHERE)
    listed = await saga("list", "--stuck")
    assert f"{order}  fulfilment.reactions: tried 4 times: KeyError: it" in listed.stdout
    assert listed.exit_code == 1
    assert "orders can't be listed: redis" in listed.stderr
    assert await tasks.take("fulfilment.reactions", lease_s=60, limit=1) == []
    freed = await saga("retry", str(order))
    assert freed.exit_code == 0, freed.output
    [task] = await tasks.take("fulfilment.reactions", lease_s=60, limit=1)
    assert task.key == key


async def test_stuck_orders_are_found_among_others_and_the_list_says_that_there_are_more(
    town: Town, settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERTRAIL_REDIS_URL", redis_url)
    stuck = await stuck_order(town)
    well = [await place(town.ports, "tok_visa", A=1) for _ in range(3)]
    await town.rest()
    assert [await status(town, one) for one in well] == ["confirmed"] * 3
    show_in_redis([stuck, *well], settings)

    listed = (await saga("list", "--stuck")).stdout.splitlines()
    [line] = listed
    assert line.startswith(str(stuck))
    assert "STUCK at capture" in line
    assert line.endswith(": failed")
    all_of_them = (await saga("list")).stdout
    assert all(str(one) in all_of_them for one in (stuck, *well))
    first = (await saga("list", "--most", "1")).stdout
    assert first.startswith(str(well[-1]))
    assert "... and more" in first


def show_in_redis(orders: list[OrderId], settings: Settings) -> None:
    client = composition.redis_client(ViewSettings())
    client.flushall()
    shards = Generations(client, settings.views.order_partitions).shards
    reader = composition.order_reader(settings.store, pool_size=1)
    for order in orders:
        refold(reader, shards[layout.partition_of(order, len(shards))], order)
    reader.close()
    client.close()
