"""Requests for one order's money that exclude each other: whoever is stored first wins.

As in `test_life_races.py`: one loads and decides, and the other one is quicker. So each pair is
tried in both interleavings, without any luck.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest

from commands.envelopes import address_events
from commands.order.change import Target
from commands.order.file import load_file
from commands.order.place import place_order
from commands.payment.refund import AskRefund, ask_refund
from commands.payment.request import PAYMENTS, request_step
from commands.ports import Answer, Append, Ports, Write
from commands.returns.returning import (
    RequestReturn,
    approve_return,
    receive_return,
    request_return,
)
from commands.shipment.packing import Dispatch, create_shipment, dispatch_shipment
from commands.shipment.tracking import record_scan
from domain.aggregate import Aggregate
from domain.envelope import Envelope
from domain.errors import DomainError
from domain.events import DomainEvent
from domain.fulfilment.events import FulfilmentStarted, FulfilmentStepStarted, Step
from domain.fulfilment.state import FULFILMENT
from domain.ids import (
    OrderId,
    ReturnId,
    ShipmentId,
    Sku,
    StreamId,
    fulfilment_stream,
    order_stream,
    payment_stream,
)
from domain.money import Currency
from domain.order.events import OrderConfirmed
from domain.order.state import ORDER
from domain.payment.events import (
    PaymentAuthorizationRequested,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureRequested,
)
from domain.payment.state import PAYMENT, Payment
from domain.returns.decisions import LineToReceive
from domain.returns.events import ReturnReason
from domain.returns.state import Receipt
from domain.shipment.decisions import Scan
from domain.shipment.events import TrackingStatus
from domain.shipment.pieces import LineRequest
from infrastructure.composition import RandomNames, SystemClock
from infrastructure.event_store.store import open_event_store
from tests.integration.event_store.test_event_store import MASTER_KEY, order, request
from tests.integration.event_store.test_life_races import Overtaken

SKU, GBP = Sku("85123A"), Currency("GBP")
TOTAL = 2 * 255 + 499
WORTH = 255
"""Of one piece: what was taken for it, and is owed once it is back."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Two pieces were paid, sent and delivered. Attributes: back: a return of one, approved."""

    order_id: OrderId
    parcel: ShipmentId
    back: ReturnId


Command: TypeAlias = Callable[[Scene, Ports], Awaitable[Any]]


@pytest.fixture
async def processes(database_url: str) -> AsyncIterator[tuple[Ports, Ports]]:
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(
                open_event_store(database_url, MASTER_KEY, pool_size=2, pool_timeout_s=5)
            )
            for _ in range(2)
        ]
        first, second = (Ports(store, SystemClock(), RandomNames()) for store in stores)
        yield first, second


async def scene_in(ports: Ports, *, captured: bool) -> Scene:
    placed = await place_order(replace(order(), fulfilled_here=True), request("k"), ports)
    order_id, target = placed.order_id, Target(placed.order_id)
    await say(ports, order_id, order_stream(order_id), ORDER, [OrderConfirmed(order_id)])
    packed = await create_shipment(target, [LineRequest(SKU, 2)], request(), ports)
    parcel = ShipmentId(UUID(str(packed.body["shipment_id"])))
    await dispatch_shipment(target, parcel, Dispatch("dhl", "N1"), request(), ports)
    paid: list[DomainEvent] = [
        PaymentAuthorizationRequested(order_id, 1, TOTAL, GBP, "sandbox"),
        PaymentAuthorized(order_id, 1, TOTAL, "ref"),
    ]
    if captured:
        paid.append(PaymentCaptureRequested(order_id, str(parcel), TOTAL))
        paid.append(PaymentCaptured(order_id, str(parcel), TOTAL))
    await say(ports, order_id, payment_stream(order_id), PAYMENT, paid)
    scan = Scan(TrackingStatus.DELIVERED, "D", ports.clock.now() - timedelta(minutes=1))
    await record_scan(target, parcel, scan, request(), ports)
    command = RequestReturn([LineRequest(SKU, 1)], ReturnReason.SIZE, "x")
    asked = await request_return(target, command, request(), ports)
    back = ReturnId(UUID(str(asked.body["return_id"])))
    await approve_return(target, back, request(), ports)
    steps = ((Step.CAPTURE, str(parcel)), (Step.VOID, ""), (Step.REFUND, f"{back}/1"))
    begun: list[DomainEvent] = [
        FulfilmentStarted(order_id, charged=True),
        *(FulfilmentStepStarted(order_id, *step, 1, None) for step in steps),
    ]
    await say(ports, order_id, fulfilment_stream(order_id), FULFILMENT, begun)
    return Scene(order_id, parcel, back)


async def say(
    ports: Ports,
    order_id: OrderId,
    stream_id: StreamId,
    aggregate: Aggregate[Any, Any],
    events: Sequence[DomainEvent],
) -> None:
    stream = await ports.store.load(stream_id, aggregate)
    addressed = address_events(events, request(), ports, occurred_at=ports.clock.now())
    await ports.store.append(Append([Write(stream, addressed, order_id)], request(), Answer({})))


async def _step(scene: Scene, ports: Ports, step: Step, subject: str = "") -> Payment | None:
    event = FulfilmentStepStarted(scene.order_id, step, subject, 1, None)
    envelope = Envelope(uuid4(), ports.clock.now(), PAYMENTS, "c", "c", "c", None)
    return await request_step(event, envelope, "sandbox", ports)


async def capture(scene: Scene, ports: Ports) -> Payment | None:
    return await _step(scene, ports, Step.CAPTURE, str(scene.parcel))


async def void(scene: Scene, ports: Ports) -> Payment | None:
    return await _step(scene, ports, Step.VOID)


async def give_back_half(scene: Scene, ports: Ports) -> Answer:
    return await ask_refund(AskRefund(scene.order_id, 600, "GBP", "x"), request(), ports)


async def give_back_all(scene: Scene, ports: Ports) -> Answer:
    return await ask_refund(AskRefund(scene.order_id, TOTAL, "GBP", "x"), request(), ports)


async def receive(scene: Scene, ports: Ports) -> Answer:
    lines = [LineToReceive(SKU, 1)]
    return await receive_return(Target(scene.order_id), scene.back, lines, request(), ports)


async def refund_receipt(scene: Scene, ports: Ports) -> Payment | None:
    return await _step(scene, ports, Step.REFUND, f"{scene.back}/1")


async def _receipt(scene: Scene, ports: Ports) -> Receipt:
    returns = (await load_file(scene.order_id, ports)).returns.state
    assert returns is not None
    return returns.returns[0].receipts[0]


@pytest.mark.parametrize(
    ("wins", "loses", "captured", "code"),
    [
        (capture, void, False, "illegal_transition"),
        (void, capture, False, "illegal_transition"),
        (give_back_half, give_back_half, True, "refund_above_captured"),
        (receive, give_back_all, True, "refund_above_captured"),
    ],
)
async def test_of_two_requests_that_exclude_each_other_the_one_that_is_stored_first_wins(
    processes: tuple[Ports, Ports], wins: Command, loses: Command, *, captured: bool, code: str
) -> None:
    first, second = processes
    scene = await scene_in(first, captured=captured)
    overtaken = replace(first, store=Overtaken(first.store, lambda: wins(scene, second)))
    with pytest.raises(DomainError) as refused:
        await loses(scene, overtaken)
    assert refused.value.code == code


@pytest.mark.parametrize(("before", "owed_minor"), [(give_back_all, 0), (give_back_half, WORTH)])
async def test_a_receipt_that_a_refund_by_hand_overtakes_is_owed_what_that_has_left(
    processes: tuple[Ports, Ports], before: Command, owed_minor: int
) -> None:
    first, second = processes
    scene = await scene_in(first, captured=True)
    overtaken = replace(first, store=Overtaken(first.store, lambda: before(scene, second)))
    await receive(scene, overtaken)
    assert (await _receipt(scene, first)).refund_minor == owed_minor


@pytest.mark.parametrize(
    ("wins", "then"), [(refund_receipt, give_back_half), (give_back_half, refund_receipt)]
)
async def test_a_receipt_s_refund_and_one_by_hand_are_both_made_where_there_is_enough(
    processes: tuple[Ports, Ports], wins: Command, then: Command
) -> None:
    first, second = processes
    scene = await scene_in(first, captured=True)
    await receive(scene, first)
    overtaken = replace(first, store=Overtaken(first.store, lambda: wins(scene, second)))
    await then(scene, overtaken)
    payment = (await load_file(scene.order_id, first)).payment.state
    assert payment is not None
    assert sorted(one.amount_minor for one in payment.refunds.values()) == [WORTH, 600]
    assert payment.refundable_minor == TOTAL - WORTH - 600
