"""How much of a refund is asked for by now, where other money went back or is on its way."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from commands.envelopes import address_events
from commands.payment.request import PAYMENTS, request_step
from commands.ports import Answer, Append, Ports, Request, Write
from domain.envelope import Envelope
from domain.errors import DomainError
from domain.events import DomainEvent
from domain.fulfilment.events import FulfilmentStarted, FulfilmentStepStarted, Step
from domain.fulfilment.state import FULFILMENT
from domain.ids import (
    CustomerId,
    ReturnId,
    Sku,
    fulfilment_stream,
    order_stream,
    payment_stream,
    returns_stream,
)
from domain.order.decisions import LineToCancel, cancel_lines
from domain.order.events import OrderConfirmed
from domain.order.parcels import Parcels
from domain.order.state import ORDER
from domain.payment.events import PaymentEvent, RefundFailed, RefundRequested
from domain.payment.state import PAYMENT
from domain.returns.events import ReturnEvent, ReturnReceived
from domain.returns.state import RETURNS
from tests.domain.orders import ORDER_ID, WHY, given, line, place
from tests.domain.payment.payments import asked, capture, held, refund
from tests.domain.returns.given import approved, received, requested
from tests.fakes.event_store import CountedNames, InMemoryEventStore, SystemClock

R1 = f"{ReturnId(UUID(int=21))}/1"
TAKEN = (asked(amount_minor=600), held(amount_minor=600), *capture("p1", 600))


def failed(name: str) -> RefundFailed:
    return RefundFailed(ORDER_ID, name, "sent back")


def pending(name: str, amount_minor: int) -> RefundRequested:
    return RefundRequested(ORDER_ID, name, amount_minor, "x")


async def ask_surplus(
    payment: Sequence[PaymentEvent],
    returns: Sequence[ReturnEvent] = (),
    *,
    canceled: int,
    attempt: int = 1,
) -> int:
    """Ask for `surplus/1` of an order of six pieces at 100, some canceled; give its amount."""
    order = [*place(lines=[line(quantity=6)], fulfilled_here=True), OrderConfirmed(ORDER_ID)]
    lines = [LineToCancel(Sku("A"), canceled)]
    order += cancel_lines(
        given(order), Parcels({}, dispatched=False), lines=lines, reason="x", reason_code=WHY
    )
    event = FulfilmentStepStarted(ORDER_ID, Step.REFUND, "surplus/1", attempt, None)
    ports = Ports(InMemoryEventStore(), SystemClock(), CountedNames())
    request = Request(PAYMENTS, "c", "c", "payment")
    streams: list[tuple[Any, Any, Sequence[DomainEvent]]] = [
        (order_stream(ORDER_ID), ORDER, order),
        (payment_stream(ORDER_ID), PAYMENT, [*TAKEN, *payment]),
        (returns_stream(ORDER_ID), RETURNS, returns),
        (
            fulfilment_stream(ORDER_ID),
            FULFILMENT,
            [FulfilmentStarted(ORDER_ID, charged=True), event],
        ),
    ]
    for name, aggregate, events in streams:
        stream = await ports.store.load(name, aggregate)
        addressed = address_events(events, request, ports, occurred_at=ports.clock.now())
        writes = [Write(stream, addressed, ORDER_ID)]
        await ports.store.append(Append(writes, request, Answer({}), customer_id=CustomerId("c-1")))
    envelope = Envelope(uuid4(), ports.clock.now(), PAYMENTS, "c", "c", "c", None)
    after = await request_step(event, envelope, "sandbox", ports)
    assert after is not None
    return after.refunds["surplus/1"].amount_minor


@pytest.mark.parametrize(
    "later",
    [
        [*refund("surplus/2", 100), failed("surplus/2"), pending("surplus/2", 100)],
        [pending("surplus/2", 100)],
        [pending("surplus/2", 100), failed("surplus/2")],
    ],
    ids=["tried again", "under way", "paid otherwise"],
)
async def test_a_surplus_that_is_sent_back_does_not_take_in_what_a_later_one_is_for(
    later: list[PaymentEvent],
) -> None:
    """Of 400 beyond what is owed, 100 are on their way by another name, or people's by now."""
    events = [*refund("surplus/1", 300), *later, failed("surplus/1")]
    assert await ask_surplus(events, canceled=4, attempt=2) == 300


async def test_a_surplus_is_not_taken_from_what_a_return_is_to_be_paid_with() -> None:
    """Half is owed for a return, and half is surplus, and people are giving one half back."""
    came = ReturnReceived(ORDER_ID, received().return_id, 1, received().lines, 300, 0)
    returns: list[ReturnEvent] = [requested(), approved(), came]
    paused: list[PaymentEvent] = [pending(R1, 300), failed(R1), pending("manual/1", 300)]
    with pytest.raises(DomainError) as refused:
        await ask_surplus(paused, returns, canceled=3)
    assert refused.value.code == "refund_above_captured"
    assert await ask_surplus([*paused, failed("manual/1")], returns, canceled=3) == 300
