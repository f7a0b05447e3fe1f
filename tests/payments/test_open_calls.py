"""Calls that are open at Stripe at once, or for long: what was asked for is taken, and once."""

from collections.abc import AsyncIterator

import pytest

from commands.payment.calls import make_call
from commands.payment.gateway import capture_key, refund_key
from commands.ports import Ports
from domain.ids import payment_stream
from domain.payment.events import PaymentCaptured, PaymentCaptureRequested, RefundRequested
from domain.payment.open_calls import Capture, Refund
from domain.payment.state import PAYMENT
from infrastructure.payments.stripe_gateway import StripeConfig, StripeGateway
from tests.fakes.event_store import CountedNames, InMemoryEventStore, SystemClock
from tests.payments.calls import asked, authorized, store
from tests.payments.providers import API_KEY, GBP, SECRET, Stripe, hold, look_up


@pytest.fixture
async def several(emulator_url: str, stripe: Stripe) -> AsyncIterator[Stripe]:
    """Give Stripe to an account that may capture several times."""
    config = StripeConfig(API_KEY, SECRET, api_base=emulator_url, multicapture=True)
    gateway = StripeGateway(config)
    yield Stripe(gateway, stripe.http, stripe.tokens)
    await gateway.close()


async def test_of_two_captures_that_are_open_at_once_both_are_taken(several: Stripe) -> None:
    order_id, reference = await hold(several)
    ports = Ports(InMemoryEventStore(), SystemClock(), CountedNames())
    captures = {"p1": 400, "p2": 600}
    payment = await store(
        ports,
        order_id,
        *authorized(order_id, reference),
        *(PaymentCaptureRequested(order_id, name, amount) for name, amount in captures.items()),
    )
    for name in captures:
        await make_call(asked(order_id, Capture(name, 1)), payment, several.gateway, ports)
    after = (await ports.store.load(payment_stream(order_id), PAYMENT)).state
    assert after is not None
    assert (after.captured_minor, after.capture_pending_minor) == (1_000, 0)
    assert (await look_up(several, order_id, reference)).captured_minor == 1_000


@pytest.mark.parametrize(
    ("status", "refunds"),
    [("pending", 1), ("requires_action", 1), ("succeeded", 1), ("failed", 2), ("canceled", 2)],
)
async def test_a_refund_is_asked_for_again_only_where_the_first_was_sent_back(
    stripe: Stripe, status: str, refunds: int
) -> None:
    order_id, reference = await hold(stripe)
    key = capture_key(order_id, "p1", 1)
    await stripe.gateway.capture(
        reference=reference, amount_minor=1_000, currency=GBP, key=key, last=True
    )
    key = refund_key(order_id, "r1", 1)
    await stripe.gateway.refund(reference=reference, amount_minor=300, currency=GBP, key=key)
    [first] = await known_refunds(stripe, reference)
    await stripe.http.post(f"/_config/refunds/{first}/{status}")
    ports = Ports(InMemoryEventStore(), SystemClock(), CountedNames())
    payment = await store(
        ports,
        order_id,
        *authorized(order_id, reference),
        PaymentCaptureRequested(order_id, "p1", 1_000),
        PaymentCaptured(order_id, "p1", 1_000),
        RefundRequested(order_id, "r1", 300, "x"),
    )
    call = asked(order_id, Refund("r1", 1), again=True)
    after = await make_call(call, payment, stripe.gateway, ports)
    assert after is not None
    assert after.refunded_minor == 300
    assert len(await known_refunds(stripe, reference)) == refunds


async def known_refunds(stripe: Stripe, reference: str) -> list[str]:
    answer = await stripe.http.get("/v1/refunds", params={"payment_intent": reference})
    return [one["id"] for one in answer.json()["data"]]
