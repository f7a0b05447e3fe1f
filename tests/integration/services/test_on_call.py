"""What `ordertrail saga` shows of real orders, and what people on call do with it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from commands.fulfilment.advance import store_reaction
from commands.inventory import allocate
from commands.inventory.stock import load_items, receive_stock
from commands.order.cancel import CancelOrder, cancel_order
from commands.payment.refund import AskRefund, ask_refund
from domain.fulfilment.events import FulfilmentStepStarted, FulfilmentStuck, Step
from domain.ids import OrderId, ShipmentId
from domain.inventory.location import MAIN
from domain.order.decisions import LineToCancel
from domain.payment.events import RefundFailed
from domain.shipment.events import TrackingStatus
from domain.shipment.pieces import LineRequest
from infrastructure import composition
from infrastructure.observability.service_lag import FAILING_TRIES
from infrastructure.redis import shard_keys
from infrastructure.redis.generations import Generations
from infrastructure.redis.refold import refold
from infrastructure.services import fulfilment
from infrastructure.services.payment_calls import CALLS
from infrastructure.settings import Settings, ViewSettings
from tests.integration.services.conftest import FAST
from tests.integration.services.orders import place, stock
from tests.integration.services.provider import ledger, mend_cards
from tests.integration.services.test_life import A, status
from tests.integration.services.town import Town, asks, open_town

REACTIONS = f"{fulfilment.NAME}.reactions"
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
    assert {line[:2] for line in shown.stdout.splitlines() if ": done" in line} == {"20"}  # a date
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


async def test_what_was_settled_otherwise_is_not_taken_when_kafka_is_wiped(
    town: Town, database_url: str
) -> None:
    """Each step comes again then: what people left out, or what came back, is not charged."""
    settled, over, back = [await stuck_order(town) for _ in range(3)]
    for order in (settled, over):
        left = await saga("skip", str(order), "capture", "--reason", "settled in cash")
        assert left.exit_code == 0, left.output
    for order in (over, back):
        [parcel] = [one.shipment_id for one in (await town.file(order)).facts.parcels]
        how = TrackingStatus.DELIVERED if order == over else TrackingStatus.RETURN_TO_SENDER
        await town.deliver(order, ShipmentId(UUID(parcel)), how)
    await cancel_order(CancelOrder(over, "no", lines=[LineToCancel(A, 1)]), asks(), town.ports)
    await town.rest()
    assert await status(town, over) == "completed"
    await mend_cards(database_url)
    before = [(await town.file(order)).payment.version for order in (settled, over, back)]

    for worker in town.workers:
        worker.offset = 0
    await town.rest()

    assert [(await town.file(order)).payment.version for order in (settled, over, back)] == before
    assert [one["captured_minor"] for one in await ledger(database_url, "captured_minor")] == [
        0
    ] * 3
    failing = await town.parts.tasks.failing(tries=1, limit=9)
    assert [task.problem for task in failing] == []


async def test_what_is_canceled_of_a_parcel_that_came_back_is_received_as_it_is_told(
    town: Town,
) -> None:
    order = await place(town.ports, A=5)
    await town.rest()
    parcel = await town.send(order, [LineRequest(A, 2)])
    await town.rest()
    await town.deliver(order, parcel, TrackingStatus.RETURN_TO_SENDER)
    await town.rest()
    assert "came back for good" not in (await saga("show", str(order))).stdout
    await cancel_order(CancelOrder(order, "no", lines=[LineToCancel(A, 2)]), asks(), town.ports)
    await town.rest()
    assert await available(town) == 5  # the five that were never wanted
    told = "came back for good: 2 of A, to be received by hand"
    assert told in (await saga("show", str(order))).stdout
    await receive_stock(A, MAIN, 2, asks(), town.ports)
    assert await available(town) == 7

    await town.deliver(order, await town.send(order, [LineRequest(A, 3)]))
    await town.rest()
    assert await status(town, order) == "completed"
    assert await available(town) == 7  # ten, less the three that were delivered
    assert told in (await saga("show", str(order))).stdout


async def test_what_is_let_go_of_is_decided_anew_where_a_parcel_comes_back_at_that_moment(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People may have been told already how much of it to receive."""
    order = await place(town.ports, A=5)
    await town.rest()
    parcel = await town.send(order, [LineRequest(A, 2)])
    await town.rest()
    load_desk, came = allocate._load_desk, list[ShipmentId]()

    async def late(asks: Any, orders: Any, ports: Any) -> Any:
        if not came and any(ask.event.subject == "lines" for ask in asks):
            came.append(parcel)
            await town.deliver(order, parcel, TrackingStatus.RETURN_TO_SENDER)
        return await load_desk(asks, orders, ports)

    monkeypatch.setattr(allocate, "_load_desk", late)
    await cancel_order(CancelOrder(order, "no", lines=[LineToCancel(A, 2)]), asks(), town.ports)
    await town.rest()
    assert came
    assert await available(town) == 5
    assert "came back for good: 2 of A" in (await saga("show", str(order))).stdout


async def available(town: Town) -> int:
    [item] = await load_items([A], town.ports.store)
    assert item.state is not None
    return item.state.available


async def test_a_parcel_that_came_back_stays_listed_until_people_have_mended_it(
    town: Town, settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERTRAIL_REDIS_URL", redis_url)
    order = await place(town.ports, "tok_visa", A=1)
    await town.rest()
    parcel = await town.send(order, [LineRequest(A, 1)])
    await town.deliver(order, parcel, TrackingStatus.RETURN_TO_SENDER)
    await town.rest()
    before = (await town.file(order)).position
    for arguments in (["ship"], []):
        tried = await saga("retry", str(order), *arguments)
        assert tried.exit_code == 1
        assert tried.stderr.startswith(
            "ship: a parcel came back to its sender, so there is nothing"
        )
    assert (await town.file(order)).position == before
    show_in_redis([order], settings)
    assert "STUCK at ship: returned_to_sender" in (await saga("list", "--stuck")).stdout


async def test_a_refund_by_hand_that_failed_is_listed_until_it_comes_through_or_is_left_out(
    town: Town, settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERTRAIL_REDIS_URL", redis_url)
    orders = [await place(town.ports, "tok_visa", A=1) for _ in range(2)]
    await town.rest()
    for order in orders:
        await town.deliver(order, await town.send(order, [LineRequest(A, 1)]))
        await town.rest()
        answer = await ask_refund(AskRefund(order, 100, "GBP", "sorry"), asks(), town.ports)
        await town.rest()
        file, refund = await town.file(order), str(answer.body["refund_id"])
        refused = RefundFailed(order, refund, "account closed")
        await store_reaction(file, [(file.payment, [refused])], asks(), town.ports)
    await town.rest()
    assert [await status(town, order) for order in orders] == ["completed"] * 2
    show_in_redis(orders, settings)
    listed = (await saga("list", "--stuck")).stdout.splitlines()
    assert sorted(line.split()[0] for line in listed) == sorted(map(str, orders))
    assert all("STUCK at refund manual/" in line for line in listed)

    again, left = orders
    tried = await saga("retry", str(again), "refund")
    assert tried.exit_code == 0, tried.output
    skipped = await saga("skip", str(left), "refund", "--reason", "paid in cash")
    assert skipped.exit_code == 0, skipped.output
    await town.rest()
    refunded = [(await town.file(order)).facts.payment.refunded_minor for order in orders]
    assert refunded == [100, 0]
    show_in_redis(orders, settings)
    assert (await saga("list", "--stuck")).stdout == "nothing is stuck\n"


async def test_money_that_the_provider_may_move_yet_is_not_left_out_until_it_has_answered(
    town: Town,
) -> None:
    order = await place(town.ports, "tok_visa", A=1)
    await town.rest()
    await town.deliver(order, await town.send(order, [LineRequest(A, 1)]))
    await town.rest()
    answer = await ask_refund(AskRefund(order, 100, "GBP", "sorry"), asks(), town.ports)
    refund, file = str(answer.body["refund_id"]), await town.file(order)
    asked = FulfilmentStepStarted(order, Step.REFUND, refund, 1, datetime.now(UTC))
    unanswered = FulfilmentStuck(order, Step.REFUND, refund, "no_answer")
    await store_reaction(file, [(file.fulfilment, [asked, unanswered])], asks(), town.ports)
    left = await saga("skip", str(order), "refund", "--reason", "paid in cash")
    assert left.exit_code == 1
    assert left.stderr.startswith("the provider may have done it, or do it yet: `saga retry` asks")
    assert (await saga("retry", str(order), "refund")).exit_code == 0
    await town.rest()
    assert (await town.file(order)).facts.payment.refunds[refund] == 100
    assert (await saga("skip", str(order), "refund", "--reason", "x")).stderr == (
        "refund is not stuck\n"
    )


async def test_what_secures_an_order_is_not_left_out_and_nonsense_is_refused(town: Town) -> None:
    order = await place(town.ports, "tok_visa", A=1)
    await town.rest()
    assert (await saga("retry", str(order))).stderr == f"nothing of {order} is stuck\n"
    file = await town.file(order)
    stuck = FulfilmentStuck(order, Step.RESERVE, "", "no_answer")
    await store_reaction(file, [(file.fulfilment, [stuck])], asks(), town.ports)
    left = await saga("skip", str(order), "reserve", "--reason", "x")
    assert (left.exit_code, left.stderr) == (1, "no order goes on without reserve\n")
    assert "there is no step pay: choose one of" in (await saga("retry", str(order), "pay")).stderr
    nobody = "01890000-0000-7000-8000-000000000000"
    assert (await saga("show", nobody)).stderr == f"no saga leads {nobody}\n"
    assert (await saga("show", "ZZZZ-ZZZZ")).stderr == "there is no order ZZZZ-ZZZZ\n"


async def test_a_reaction_that_keeps_failing_is_listed_and_freed_where_no_saga_is_yet(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await place(town.ports, "tok_visa", A=1)
    tasks = town.parts.tasks
    keys = [f"{order}/1", f"{order}/2"]
    for each in keys:
        await tasks.put(REACTIONS, [(each, order, datetime.now(UTC))])
        for tried in range(FAILING_TRIES + 1):
            [task] = await tasks.take(REACTIONS, lease_s=60, limit=1)
            again_s = 0 if tried < FAILING_TRIES else 600
            await tasks.put_off(task, seconds=again_s, problem="KeyError: it")

    monkeypatch.setenv("ORDERTRAIL_REDIS_URL", NOWHERE)
    listed = await saga("list", "--stuck")
    assert listed.stdout.splitlines() == [
        f"{order}  {REACTIONS} {position}: tried 4 times: KeyError: it" for position in (1, 2)
    ]
    first = (await saga("list", "--most", "1")).stdout.splitlines()
    assert first[1:] == ["... and more tasks: --most shows them (now 1)"]
    assert listed.exit_code == 1
    assert "orders can't be listed: redis" in listed.stderr
    assert await tasks.take(REACTIONS, lease_s=60, limit=1) == []
    freed = await saga("retry", str(order))
    assert freed.exit_code == 0, freed.output
    taken = await tasks.take(REACTIONS, lease_s=60, limit=9)
    assert sorted(task.key for task in taken) == keys


async def test_stuck_orders_are_found_among_others_and_a_list_says_that_there_are_more(
    town: Town, settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERTRAIL_REDIS_URL", redis_url)
    stuck = await stuck_order(town)
    lost, well = [await place(town.ports, "tok_visa", A=1) for _ in range(2)]
    await town.rest()
    parcel = await town.send(lost, [LineRequest(A, 1)])
    await town.deliver(lost, parcel, TrackingStatus.EXCEPTION)
    await town.rest()
    assert {await status(town, one) for one in (stuck, lost, well)} == {"confirmed"}
    show_in_redis([stuck, lost, well], settings)

    [line] = (await saga("list", "--stuck")).stdout.splitlines()
    assert line.startswith(str(stuck))
    assert "STUCK at capture" in line
    assert line.endswith(": failed")
    listed = (await saga("list")).stdout.splitlines()
    assert [each.split()[0] for each in listed] == [str(one) for one in (well, lost, stuck)]
    first = (await saga("list", "--most", "1")).stdout.splitlines()
    assert first[0].startswith(str(well))
    assert first[1:] == ["... and more orders: --most shows them (now 1)"]


async def test_the_newest_order_comes_first_and_whose_customer_is_waited_for_is_not_failing(
    town: Town, settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERTRAIL_REDIS_URL", redis_url)
    pending = [await place(town.ports, "tok_authenticationRequired", A=1) for _ in range(2)]
    confirmed = await place(town.ports, "tok_visa", A=1)

    async def is_confirmed() -> bool:
        return await status(town, confirmed) == "confirmed"

    async def are_asked_about() -> bool:
        tasks = [one for order in pending for one in await town.parts.tasks.of_order(order)]
        return sum(one.queue == CALLS and one.tries > FAILING_TRIES for one in tasks) == 2

    await town.until(is_confirmed)
    await town.until(are_asked_about)
    show_in_redis([*pending, confirmed], settings)
    listed = (await saga("list", "--most", "2")).stdout.splitlines()
    assert [each.split()[0] for each in listed[:2]] == [str(confirmed), str(pending[1])]
    assert [each.split()[2] for each in listed[:2]] == ["confirmed", "pending"]
    assert len(listed) == 3
    assert (await saga("list", "--stuck")).stdout == "nothing is stuck\n"


def show_in_redis(orders: list[OrderId], settings: Settings) -> None:
    client = composition.redis_client(ViewSettings())
    client.flushall()
    shards = Generations(client, settings.views.order_partitions).shards
    reader = composition.order_reader(settings.store, pool_size=1)
    for order in orders:
        refold(reader, shards[shard_keys.partition_of(order, len(shards))], order)
    reader.close()
    client.close()
