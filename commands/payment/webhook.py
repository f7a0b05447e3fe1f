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
from domain.ids import payment_stream
from domain.payment import outcomes
from domain.payment.events import PaymentEvent
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
        stream = await ports.store.load(payment_stream(event.order_id), PAYMENT)
        if stream.state is None or await ports.store.find_answer(request) is not None:
            return
        events = _decide(stream.state, event)
        addressed = address_events(events, request, ports, occurred_at=ports.clock.now())
        await ports.store.append(
            Append(
                writes=[Write(stream, addressed, event.order_id)],
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
            refund_id, try_number = read_refund_key(key)
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


def _attempt(payment: Payment, fact: AttemptChanged) -> Sequence[PaymentEvent]:
    events = list(attempt_events(payment, fact.attempt, fact.status))
    if isinstance(fact.status, Authorized) and fact.captured_minor:
        for one in events:
            payment = evolve(payment, one)
        events += outcomes.captured_in_total(payment, total_minor=fact.captured_minor)
    return events
