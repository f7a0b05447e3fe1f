"""Calls that are open with a provider, for tests: what was asked for, as the log has it."""

from datetime import UTC, datetime, timedelta

from commands.envelopes import address_events
from commands.payment.calls import Asked
from commands.payment.request import PAYMENTS
from commands.ports import Answer, Append, Ports, Request, Write
from domain.ids import CustomerId, OrderId, payment_stream
from domain.payment.events import PaymentAuthorizationRequested, PaymentAuthorized, PaymentEvent
from domain.payment.open_calls import Call
from domain.payment.state import PAYMENT, Payment
from tests.payments.providers import GBP


def authorized(order_id: OrderId, reference: str) -> tuple[PaymentEvent, ...]:
    return (
        PaymentAuthorizationRequested(order_id, 1, 1_000, GBP, "stripe"),
        PaymentAuthorized(order_id, 1, 1_000, reference),
    )


def asked(
    order_id: OrderId, call: Call, *, again: bool = False, ago: timedelta = timedelta(0)
) -> Asked:
    now = datetime.now(UTC)
    return Asked(
        order_id=order_id,
        call=call,
        again=again,
        token=None,
        asked_at=now - ago,
        captures_asked_at=now - ago,
        correlation_id="c",
    )


async def store(ports: Ports, order_id: OrderId, *events: PaymentEvent) -> Payment:
    """Store what has happened to a new payment, and give it."""
    stream = await ports.store.load(payment_stream(order_id), PAYMENT)
    request = Request(actor=PAYMENTS, command_id="x", correlation_id="c", route="payment")
    addressed = address_events(events, request, ports, occurred_at=datetime.now(UTC))
    await ports.store.append(
        Append(
            writes=[Write(stream, addressed, order_id)],
            request=request,
            answer=Answer({}),
            customer_id=CustomerId("c-1"),  # whose key seals a refund's reason
        )
    )
    payment = PAYMENT.after(stream.state, events)
    assert payment is not None
    return payment
