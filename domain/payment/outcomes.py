"""What a provider says has happened, recorded: facts come late, twice and out of order.

Rule: money that moved is recorded whatever we thought before, and only once; everything else that
comes late is passed over. An answer to a question that was never asked, or of another amount, is
nonsense and is refused: it is never booked.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TypeVar

from domain.errors import DomainError
from domain.payment.events import (
    ChargebackReceived,
    DeclineCode,
    PaymentActionRequired,
    PaymentAuthorizationFailed,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    PaymentVoidRequested,
    RefundFailed,
)
from domain.payment.state import Attempt, Outcome, Payment, Transfer

K = TypeVar("K", int, str)
V = TypeVar("V", Attempt, Transfer)

MOST_TOLD_APART = 12
"""Captures, of which every choice is looked at: 4,096."""


def authorized(
    payment: Payment, *, attempt: int, amount_minor: int, reference: str
) -> tuple[PaymentEvent, ...]:
    """Record an authorization, even after we took it for failed.

    Where nobody wants it any more (the payment was closed, or another attempt pays), the request to
    void just this one follows at once.

    Raises:
        DomainError: `provider_disagrees` for an unknown attempt or another amount.
    """
    before = _asked_for(payment.attempts, attempt, amount_minor)
    if before.outcome in {Outcome.DONE, Outcome.VOIDED}:
        return ()
    event = PaymentAuthorized(payment.order_id, attempt, amount_minor, reference)
    if payment.closed or payment.held is not None:
        return (event, PaymentVoidRequested(payment.order_id, attempt))
    return (event,)


def action_required(
    payment: Payment, *, attempt: int, reference: str, action_url: str
) -> tuple[PaymentEvent, ...]:
    """Record that the customer must act. It is the first thing that can be known of an attempt."""
    if _asked_for(payment.attempts, attempt).outcome is not Outcome.PENDING:
        return ()
    return (PaymentActionRequired(payment.order_id, attempt, reference, action_url),)


def authorization_failed(
    payment: Payment, *, attempt: int, decline_code: DeclineCode, detail: str
) -> tuple[PaymentEvent, ...]:
    """Record a decline, unless the attempt was authorized: that a decline does not undo."""
    before = _asked_for(payment.attempts, attempt)
    if before.outcome not in {Outcome.PENDING, Outcome.ACTION_REQUIRED}:
        return ()
    return (PaymentAuthorizationFailed(payment.order_id, attempt, decline_code, detail),)


def captured(payment: Payment, *, capture_id: str, amount_minor: int) -> tuple[PaymentEvent, ...]:
    """Record that money was taken, even after we took it for failed.

    Raises:
        DomainError: `provider_disagrees` for an unknown capture or another amount, or where it
            would be more than was authorized.
    """
    before = _asked_for(payment.captures, capture_id, amount_minor)
    if before.outcome is Outcome.DONE:
        return ()
    if payment.captured_minor + amount_minor > payment.authorized_minor:
        raise _disagrees("it captured more than was authorized")
    return (PaymentCaptured(payment.order_id, capture_id, amount_minor),)


def captured_in_total(payment: Payment, *, total_minor: int) -> tuple[PaymentEvent, ...]:
    """Record what a provider took that only tells totals: all that is under way, if that is it.

    Where it took another amount it can't be told for which captures.

    Raises:
        DomainError: `provider_disagrees` where it would be more than was authorized.
    """
    pending = _captures_under_way(payment)
    if not pending or total_minor - payment.captured_minor != sum(map(_amount, pending)):
        return ()
    if total_minor > payment.authorized_minor:
        raise _disagrees("it captured more than was authorized")
    return tuple(PaymentCaptured(payment.order_id, *one) for one in pending)


def captured_in_part(payment: Payment, *, total_minor: int) -> tuple[PaymentEvent, ...]:
    """Record what a provider took that tells totals alone, and has forgotten the captures' keys.

    Some that explain it are taken for it. It makes no difference which ones it were: the others
    are asked for anew then, so in the end each is taken once. Empty where none explain it.
    """
    pending = _captures_under_way(payment)[:MOST_TOLD_APART]
    missing_minor = total_minor - payment.captured_minor
    for count in range(1, len(pending) + 1):
        for some in combinations(pending, count):
            if sum(map(_amount, some)) == missing_minor:
                return tuple(PaymentCaptured(payment.order_id, *one) for one in some)
    return ()


def _captures_under_way(payment: Payment) -> Sequence[tuple[str, int]]:
    """Give each with its amount, in the order in which they were first asked for."""
    return [
        (capture_id, one.amount_minor)
        for capture_id, one in payment.captures.items()
        if one.outcome is Outcome.PENDING
    ]


def _amount(capture: tuple[str, int]) -> int:
    return capture[1]


def capture_failed(
    payment: Payment, *, capture_id: str, try_number: int, detail: str, final: bool
) -> tuple[PaymentEvent, ...]:
    """Record that a capture was refused, and surely took nothing.

    Args:
        payment: as it is.
        capture_id: which one.
        try_number: which try of it; of an earlier one it is an old message.
        detail: in words.
        final: the provider will never take it.
    """
    before = _asked_for(payment.captures, capture_id)
    if before.outcome is not Outcome.PENDING or before.tries != try_number:
        return ()
    return (PaymentCaptureFailed(payment.order_id, capture_id, detail, final),)


def voided(payment: Payment, *, attempt: int | None = None) -> tuple[PaymentEvent, ...]:
    """Record that the provider let go of the money: of a stray attempt, or (None) of the payment.

    The latter may come without our asking: an authorization runs out after some days. An attempt
    that was never authorized has failed by this.

    Raises:
        DomainError: `provider_disagrees` for an unknown attempt, or while a capture is under way:
            what came of it must be known first.
    """
    order_id = payment.order_id
    if attempt is not None and attempt != payment.held:
        stray = _asked_for(payment.attempts, attempt)
        if stray.outcome is Outcome.DONE:
            return (PaymentVoided(order_id, stray.amount_minor, attempt),)
        return authorization_failed(
            payment,
            attempt=attempt,
            decline_code=DeclineCode.ACTION_NOT_TAKEN,
            detail="the provider let go of it before it was authorized",
        )
    if payment.voided_minor is not None:
        return ()
    if payment.capture_pending_minor:
        raise _disagrees("it let go of money of which a part is being captured")
    return (PaymentVoided(order_id, payment.capturable_minor),)


def refunded(
    payment: Payment, *, refund_id: str, try_number: int, amount_minor: int
) -> tuple[PaymentEvent, ...]:
    """Record that money went back. Of a try that has failed since it is an old message.

    Raises:
        DomainError: `provider_disagrees` for an unknown refund or another amount.
    """
    if _asked_for(payment.refunds, refund_id).tries != try_number:
        return ()  # it may have been of another amount
    before = _asked_for(payment.refunds, refund_id, amount_minor)
    if before.outcome is not Outcome.PENDING:
        return ()
    return (PaymentRefunded(payment.order_id, refund_id, amount_minor),)


def refund_failed(
    payment: Payment, *, refund_id: str, try_number: int, detail: str
) -> tuple[PaymentEvent, ...]:
    """Record that money did not reach the customer; banks send some back days after a success."""
    before = _asked_for(payment.refunds, refund_id)
    if before.outcome is Outcome.FAILED or before.tries != try_number:
        return ()
    return (RefundFailed(payment.order_id, refund_id, detail),)


def charged_back(
    payment: Payment, *, dispute_id: str, amount_minor: int
) -> tuple[PaymentEvent, ...]:
    """Record that the customer's bank took money back: once per dispute.

    What was refunded may be disputed too; what was never captured can't be.

    Raises:
        DomainError: `provider_disagrees` where it is nothing, or all disputes together would be
            more than was captured.
    """
    if dispute_id in payment.chargebacks:
        return ()
    if not 1 <= amount_minor <= payment.captured_minor - payment.charged_back_minor:
        raise _disagrees("a bank took back nothing, or more than was captured")
    return (ChargebackReceived(payment.order_id, dispute_id, amount_minor),)


def _asked_for(asked: Mapping[K, V], name: K, amount_minor: int | None = None) -> V:
    found = asked.get(name)
    if found is None:
        raise _disagrees(f"it answers {name!r}, which nobody asked for")
    if amount_minor is not None and found.amount_minor != amount_minor:
        raise _disagrees(f"it moved {amount_minor} instead of {found.amount_minor} for {name!r}")
    return found


def _disagrees(how: str) -> DomainError:
    return DomainError("provider_disagrees", f"the payment provider disagrees: {how}")
