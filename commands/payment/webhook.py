"""Take in what a payment provider says by itself: late, twice, and out of order."""

from collections.abc import Sequence

from commands.attempts import until_unmoved
from commands.envelopes import address_events
from commands.payment.calls import attempt_events
from commands.payment.gateway import (
    AttemptChanged,
    Authorized,
    ChargedBack,
    ProviderEvent,
    RefundChanged,
    Refused,
    read_refund_key,
)
from commands.payment.request import PAYMENTS
from commands.ports import Answer, Append, Ports, Request, Write
from domain.ids import order_stream, payment_stream
from domain.order import decisions
from domain.order.events import HoldReason, OrderEvent
from domain.order.guards import may_hold
from domain.order.state import ORDER, Order
from domain.payment import outcomes
from domain.payment.events import PaymentEvent, PaymentVoided
from domain.payment.state import PAYMENT, Payment, evolve


async def record_provider_event(event: ProviderEvent, provider: str, ports: Ports) -> None:
    """Store what it says that is new. Each event of a provider counts once.

    Raises:
        DomainError: `provider_disagrees`: it says what can't be.
        StoreUnavailableError: nothing is known to be stored; the provider sends it again.
    """
    request = Request(
        actor=PAYMENTS,
        command_id=f"{provider}/{event.event_id}",
        correlation_id=f"{provider}/{event.event_id}",
        route=f"webhooks/{provider}",
        idempotency_key=event.event_id,
    )

    async def attempt() -> None:
        payments, orders = await ports.store.load_all(
            [(payment_stream(event.order_id), PAYMENT), (order_stream(event.order_id), ORDER)]
        )
        payment: Payment | None = payments.state
        if payment is None or await ports.store.find_answer(request) is not None:
            return
        events = _decide(payment, event)
        decided = ((payments, events), (orders, _hold(orders.state, payment, events)))
        now = ports.clock.now()
        await ports.store.append(
            Append(
                writes=[
                    Write(
                        stream,
                        address_events(said, request, ports, occurred_at=now),
                        event.order_id,
                    )
                    for stream, said in decided
                    if said
                ],
                read=[stream for stream, said in decided if not said],
                request=request,
                answer=Answer({"order_id": str(event.order_id)}),
            )
        )

    await until_unmoved(attempt)


def _decide(payment: Payment, event: ProviderEvent) -> Sequence[PaymentEvent]:
    match event.fact:
        case AttemptChanged():
            return _attempt(payment, event.fact)
        case RefundChanged(key=key, result=result):
            refund_id, try_number = read_refund_key(key, event.order_id)
            if isinstance(result, Refused):
                return outcomes.refund_failed(
                    payment, refund_id=refund_id, try_number=try_number, detail=result.detail
                )
            return outcomes.refunded(
                payment,
                refund_id=refund_id,
                try_number=try_number,
                amount_minor=result.amount_minor,
            )
        case ChargedBack(dispute_id=dispute_id, amount_minor=amount_minor):
            return outcomes.charged_back(payment, dispute_id=dispute_id, amount_minor=amount_minor)


def _hold(
    order: Order | None, before: Payment, events: Sequence[PaymentEvent]
) -> Sequence[OrderEvent]:
    """Keep in the building what can't be paid any more: its authorization ran out, say."""
    gone = any(
        isinstance(one, PaymentVoided) and one.attempt is None and one.amount_minor
        for one in events
    )
    if before.closed or not gone or order is None or not may_hold(order):
        return ()
    return decisions.hold(order, reason_code=HoldReason.AUTHORIZATION_LET_GO)


def _attempt(payment: Payment, fact: AttemptChanged) -> Sequence[PaymentEvent]:
    events = list(attempt_events(payment, fact.attempt, fact.status))
    if isinstance(fact.status, Authorized) and fact.captured_minor:
        for one in events:
            payment = evolve(payment, one)
        events += outcomes.captured_in_total(payment, total_minor=fact.captured_minor)
    return events
