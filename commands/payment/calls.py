"""What is open with a payment's provider: calls that are still to be made, and what comes of them.

Rule: a call is made from what the log says is pending, never from memory. After a call of which
nobody knows the outcome, the provider is asked what happened before the same request is sent
again, under the same key; and it is not where the provider may have forgotten that key and done it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from commands.attempts import until_unmoved
from commands.envelopes import address_events
from commands.payment.gateway import (
    ActionRequired,
    AuthorizationRecord,
    AuthorizationStatus,
    Authorized,
    Declined,
    GatewayUnknownError,
    Moved,
    PaymentGateway,
    Refused,
    Released,
    capture_key,
    refund_key,
    void_key,
)
from commands.payment.request import PAYMENTS
from commands.ports import Answer, Append, Ports, Request, Write
from domain.ids import OrderId, payment_stream
from domain.payment import outcomes
from domain.payment.events import DeclineCode, PaymentEvent
from domain.payment.open_calls import Authorize, Call, Capture, Refund, Void
from domain.payment.state import PAYMENT, Outcome, Payment


class NotYetError(Exception):
    """Nothing came of a call so far: it is to be made again later. The text says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call on behalf of an order.

    Attributes:
        again: it was made before, and nobody knows what came of it.
        token: the provider's name of the customer's card; None: it is not known any more.
        asked_at: when the first of the payment's calls was asked for.
        captures_asked_at: when the newest capture under way was asked for, if there is one.
        correlation_id: of what set it off.
    """

    order_id: OrderId
    call: Call
    again: bool
    token: str | None
    asked_at: datetime
    captures_asked_at: datetime
    correlation_id: str


async def make_call(
    asked: Asked, payment: Payment, gateway: PaymentGateway, ports: Ports
) -> Payment | None:
    """Make a call that is open, and store what came of it unless that is known meanwhile.

    `payment` may have moved on since: the call's key keeps it from counting twice, and its outcome
    is decided on the payment of then. Gives the payment after that.

    Raises:
        NotYetError: it is to be made again later.
        GatewayUnknownError: nobody knows what came of it.
        DomainError: `provider_disagrees`: it answers nonsense.
        StoreUnavailableError: the outcome is not stored; calling again is safe.
    """
    match asked.call:
        case Authorize(attempt=attempt):
            decide = await _authorize(attempt, asked, payment, gateway)
        case Capture():
            decide = await _capture(asked.call, asked, payment, gateway, now=ports.clock.now())
        case Void(stray=stray):
            decide = await _void(stray, asked, payment, gateway)
        case Refund():
            decide = await _refund(asked.call, asked, payment, gateway)
    return await record_outcome(asked, decide, ports)


Decide: TypeAlias = Callable[[Payment], Sequence[PaymentEvent]]


async def record_outcome(asked: Asked, decide: Decide, ports: Ports) -> Payment | None:
    """Store what a provider said; give the payment after that.

    Calls of one order are answered together where its parcels leave together, so they take turns.

    Raises:
        DomainError: `provider_disagrees`; `too_much_contention` with other processes.
    """

    async def attempt() -> Payment | None:
        stream = await ports.store.load(payment_stream(asked.order_id), PAYMENT)
        if stream.state is None:
            return None
        events = decide(stream.state)
        if not events:
            return stream.state
        request = Request(
            actor=PAYMENTS,
            command_id=f"{asked.order_id}/{asked.call.key}",
            correlation_id=asked.correlation_id,
            route="payment",
        )
        addressed = address_events(events, request, ports, occurred_at=ports.clock.now())
        await ports.store.append(
            Append(
                writes=[Write(stream, addressed, asked.order_id)],
                request=request,
                answer=Answer({}),
            )
        )
        return PAYMENT.after(stream.state, events)

    async with ports.turns.of(payment_stream(asked.order_id)):
        return await until_unmoved(attempt)


async def _authorize(
    attempt: int, asked: Asked, payment: Payment, gateway: PaymentGateway
) -> Decide:
    before = payment.attempts[attempt]
    waits = before.outcome is Outcome.ACTION_REQUIRED
    if asked.again or waits:
        record = await gateway.look_up(
            order_id=asked.order_id,
            attempt=attempt,
            reference=before.reference,
            asked_at=asked.asked_at,
        )
        if record is not None and payment.closed and isinstance(record.status, ActionRequired):
            # Nobody waits for the customer any more; who confirms it later finds it gone.
            key = void_key(asked.order_id, attempt)
            await gateway.void(reference=record.status.reference, key=key)
            return lambda now: outcomes.voided(now, attempt=attempt)
        if record is not None:
            return _authorized(attempt, record.status, waits=waits)
    if payment.closed:
        # Nobody wants it any more, and the provider knows of nothing.
        return lambda now: outcomes.authorization_failed(
            now,
            attempt=attempt,
            decline_code=DeclineCode.OTHER,
            detail="it was called off before it was made",
        )
    if asked.token is None or payment.currency is None:
        return lambda now: outcomes.authorization_failed(
            now,
            attempt=attempt,
            decline_code=DeclineCode.UNKNOWN_TOKEN,
            detail="the payment token is not known any more",
        )
    outcome = await gateway.authorize(
        order_id=asked.order_id,
        attempt=attempt,
        amount_minor=before.amount_minor,
        currency=payment.currency,
        token=asked.token,
    )
    return _authorized(attempt, outcome, waits=False)


def attempt_events(
    payment: Payment, attempt: int, status: AuthorizationStatus
) -> Sequence[PaymentEvent]:
    """Give what a provider's word on an attempt means: nothing, where it is no news."""
    return _authorized(attempt, status, waits=False)(payment)


def _authorized(attempt: int, outcome: AuthorizationStatus, *, waits: bool) -> Decide:
    match outcome:
        case Authorized(reference=reference, amount_minor=amount_minor):
            return lambda now: outcomes.authorized(
                now, attempt=attempt, amount_minor=amount_minor, reference=reference
            )
        case ActionRequired() if waits:
            raise NotYetError("the customer has not confirmed it with their bank yet")
        case ActionRequired(reference=reference, action_url=action_url):
            return lambda now: outcomes.action_required(
                now, attempt=attempt, reference=reference, action_url=action_url
            )
        case Declined(decline_code=decline_code, detail=detail):
            return lambda now: outcomes.authorization_failed(
                now, attempt=attempt, decline_code=decline_code, detail=detail
            )
        case Released():
            return lambda now: outcomes.voided(now, attempt=attempt)


async def _capture(
    call: Capture, asked: Asked, payment: Payment, gateway: PaymentGateway, *, now: datetime
) -> Decide:
    reference, held = _held(payment)
    capture = payment.captures[call.capture_id]
    record = await _record(held, asked, payment, gateway) if asked.again else None
    if record is not None and record.captured_minor != payment.captured_minor:
        total_minor = record.captured_minor
        if outcomes.captured_in_total(payment, total_minor=total_minor):
            return lambda now: _captured_in_total(call, now, total_minor)
        if gateway.keys_kept is not None and now - asked.captures_asked_at >= gateway.keys_kept:
            if not outcomes.captured_in_part(payment, total_minor=total_minor):
                raise GatewayUnknownError(
                    "what was taken is not what any of the captures under way come to;"
                    " to ask for one again could take its money twice"
                )
            return lambda now: _captured_in_part(payment, now, total_minor)
    if payment.currency is None:
        raise AssertionError("what was authorized has a currency")
    result = await gateway.capture(
        reference=reference,
        amount_minor=capture.amount_minor,
        currency=payment.currency,
        key=capture_key(asked.order_id, call.capture_id, call.try_number),
        last=_is_last(payment, call.capture_id),
    )
    match result:
        case Moved(amount_minor=amount_minor):
            return lambda now: outcomes.captured(
                now, capture_id=call.capture_id, amount_minor=amount_minor
            )
        case Refused(detail=detail, final=final):
            return lambda now: outcomes.capture_failed(
                now,
                capture_id=call.capture_id,
                try_number=call.try_number,
                detail=detail,
                final=final,
            )


def _captured_in_total(call: Capture, payment: Payment, total_minor: int) -> Sequence[PaymentEvent]:
    """Record what a total tells; the payment may have moved since, so that it tells nothing now."""
    events = outcomes.captured_in_total(payment, total_minor=total_minor)
    if not events and payment.captures[call.capture_id].outcome is Outcome.PENDING:
        raise NotYetError("another capture was asked for meanwhile")
    return events


def _captured_in_part(before: Payment, now: Payment, total_minor: int) -> Sequence[PaymentEvent]:
    """Record what a total tells of the payment as it was; of one that has moved, nothing."""
    if now.captures != before.captures:
        raise NotYetError("another capture has moved meanwhile")
    return outcomes.captured_in_part(now, total_minor=total_minor)


def _is_last(payment: Payment, capture_id: str) -> bool:
    """Whether nothing will be taken after this capture.

    Of captures that are under way at once none is: whichever the provider takes first would let
    go of what the others are to take.
    """
    others = (one for name, one in payment.captures.items() if name != capture_id)
    under_way = any(one.outcome is Outcome.PENDING for one in others)
    return payment.capturable_minor == 0 and not under_way


async def _void(
    stray: int | None, asked: Asked, payment: Payment, gateway: PaymentGateway
) -> Decide:
    attempt = payment.held if stray is None else stray
    reference = None if attempt is None else payment.attempts[attempt].reference
    if attempt is not None and reference:
        await gateway.void(reference=reference, key=void_key(asked.order_id, attempt))
    return lambda now: outcomes.voided(now, attempt=stray)


async def _refund(call: Refund, asked: Asked, payment: Payment, gateway: PaymentGateway) -> Decide:
    reference, held = _held(payment)
    key = refund_key(asked.order_id, call.refund_id, call.try_number)
    if payment.currency is None:
        raise AssertionError("what was captured has a currency")
    moved: int | None = None
    if asked.again:
        record = await _record(held, asked, payment, gateway)
        moved = None if record is None else record.refunds.get(key)
    if moved is None:
        result = await gateway.refund(
            reference=reference,
            amount_minor=payment.refunds[call.refund_id].amount_minor,
            currency=payment.currency,
            key=key,
        )
        if isinstance(result, Refused):
            return lambda now: outcomes.refund_failed(
                now, refund_id=call.refund_id, try_number=call.try_number, detail=result.detail
            )
        moved = result.amount_minor
    amount_minor = moved
    return lambda now: outcomes.refunded(
        now, refund_id=call.refund_id, try_number=call.try_number, amount_minor=amount_minor
    )


async def _record(
    attempt: int, asked: Asked, payment: Payment, gateway: PaymentGateway
) -> AuthorizationRecord | None:
    return await gateway.look_up(
        order_id=asked.order_id,
        attempt=attempt,
        reference=payment.attempts[attempt].reference,
        asked_at=asked.asked_at,
    )


def _held(payment: Payment) -> tuple[str, int]:
    """Give the provider's id of what pays for the order, and its attempt."""
    reference = None if payment.held is None else payment.attempts[payment.held].reference
    if payment.held is None or not reference:
        raise AssertionError("money is only moved after it was authorized")
    return reference, payment.held
