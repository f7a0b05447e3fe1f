"""The rules of an order's money, as far as it is asked for: authorize, capture, void, refund.

What a provider answered is recorded by `domain/payment/outcomes.py`. Every decision gives no events
where it was already made, so a step that is delivered twice is harmless. A request of nothing is
answered in the same breath: no provider is asked to move 0.
"""

from collections.abc import Mapping
from types import MappingProxyType

from domain.errors import DomainError
from domain.ids import OrderId
from domain.money import LARGEST_AMOUNT_MINOR, Currency
from domain.payment.events import (
    PaymentAuthorizationRequested,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentCaptureRequested,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    PaymentVoidRequested,
    RefundRequested,
)
from domain.payment.state import Outcome, Payment
from domain.payment.status import payment_status

NO_REFERENCE = ""
"""Of an authorization of nothing: no provider knows of it."""


def request_authorization(
    payment: Payment | None,
    *,
    order_id: OrderId,
    attempt: int,
    amount_minor: int,
    currency: Currency,
    provider: str,
) -> tuple[PaymentEvent, ...]:
    """Decide to ask for the money, before the provider is asked. A closed payment stays closed.

    Raises:
        DomainError: `illegal_transition` unless all earlier attempts failed; `amount_out_of_range`.
    """
    _check_amount(amount_minor)
    if payment is not None:
        if payment.closed or attempt in payment.attempts:
            return ()
        if any(one.outcome is not Outcome.FAILED for one in payment.attempts.values()):
            raise _illegal(payment, "another attempt is not over")
    if attempt != 1 + (len(payment.attempts) if payment else 0):
        raise _illegal(payment, f"attempt {attempt} is not the next one")
    asked = PaymentAuthorizationRequested(order_id, attempt, amount_minor, currency, provider)
    if amount_minor == 0:
        return (asked, PaymentAuthorized(order_id, attempt, 0, NO_REFERENCE))
    return (asked,)


def request_capture(
    payment: Payment, *, capture_id: str, amount_minor: int
) -> tuple[PaymentEvent, ...]:
    """Decide to take the money of a parcel; after a failure, once more.

    What the provider has let go of by now can't be taken: that is refused for good at once. Nothing
    is taken for a parcel of gifts whether it still holds the rest's money or not.

    Raises:
        DomainError: `illegal_transition` unless it was authorized, and is not closed or it is 0;
            `capture_above_authorized`, `capture_changed`, `amount_out_of_range`.
    """
    _check_amount(amount_minor)
    before = payment.captures.get(capture_id)
    if before is not None:
        if before.amount_minor != amount_minor:
            raise DomainError("capture_changed", "this capture was asked for with another amount")
        if before.outcome is not Outcome.FAILED:
            return ()
    asked = PaymentCaptureRequested(payment.order_id, capture_id, amount_minor)
    if payment.held is not None and amount_minor == 0:
        return (asked, PaymentCaptured(payment.order_id, capture_id, 0))
    if payment.held is not None and payment.voided_minor is not None:
        gone = "the provider has let go of the money"
        return (asked, PaymentCaptureFailed(payment.order_id, capture_id, gone, final=True))
    if payment.held is None or payment.closed:
        raise _illegal(payment, "there is no money to capture")
    if amount_minor > payment.capturable_minor:
        raise DomainError(
            "capture_above_authorized",
            f"{payment.capturable_minor} minor units are left to capture",
            extra={"capturable_minor": payment.capturable_minor},
        )
    return (asked,)


def request_void(payment: Payment | None, *, order_id: OrderId) -> tuple[PaymentEvent, ...]:
    """Decide to close the payment and let go of what was not captured; captured money stays.

    It is done at once where no provider holds anything. A payment that was never begun is closed
    too, so that an authorization which is asked for too late is not made.

    Raises:
        DomainError: `illegal_transition` while a capture is under way.
    """
    if payment is not None and payment.closed:
        return ()
    asked = PaymentVoidRequested(order_id)
    if payment is None:
        return (asked, PaymentVoided(order_id, 0))
    if any(one.outcome is Outcome.PENDING for one in payment.captures.values()):
        raise _illegal(payment, "a capture is under way")
    if payment.capturable_minor == 0 and payment.open_attempt is None:
        return (asked, PaymentVoided(order_id, 0))
    return (asked,)


def request_refund(
    payment: Payment | None,
    *,
    refund_id: str,
    amount_minor: int,
    currency: Currency,
    reason: str,
    promised: Mapping[str, int] = MappingProxyType({}),
) -> tuple[PaymentEvent, ...]:
    """Decide to give captured money back; after a failure, once more.

    After one it may be of another amount: less can be left than when it was first asked for. The
    next try has a key of its own.

    Args:
        payment: as it is.
        refund_id: which refund.
        amount_minor: how much of it.
        currency: the payment's.
        reason: in words.
        promised: other refunds that are owed by now and may not be asked for yet: they come first.

    Raises:
        DomainError: `refund_above_captured` where what was and will be refunded would be above
            what was captured; `currency_mismatch`, `refund_changed`, `amount_out_of_range`.
    """
    _check_amount(amount_minor)
    if payment is None or payment.currency is None:
        raise _refund_above(0)
    if currency != payment.currency:
        raise DomainError(
            "currency_mismatch", f"the payment is in {payment.currency}", field="/currency"
        )
    before = payment.refunds.get(refund_id)
    if before is not None and before.outcome is not Outcome.FAILED:
        if before.amount_minor != amount_minor:
            raise DomainError(
                "refund_changed",
                "this refund was asked for with another amount",
                field="/amount_minor",
            )
        return ()
    left_minor = payment.unpromised_minor(promised)
    if amount_minor > left_minor:
        raise _refund_above(left_minor)
    asked = RefundRequested(payment.order_id, refund_id, amount_minor, reason)
    if amount_minor == 0:
        return (asked, PaymentRefunded(payment.order_id, refund_id, 0))
    return (asked,)


def _refund_above(refundable_minor: int) -> DomainError:
    return DomainError(
        "refund_above_captured",
        f"{refundable_minor} minor units are left to refund",
        field="/amount_minor",
        extra={"refundable_minor": refundable_minor},
    )


def _illegal(payment: Payment | None, why: str) -> DomainError:
    status = str(payment_status(payment))
    return DomainError(
        "illegal_transition",
        f"{why}; the payment is {status}",
        extra={"payment_status": status},
    )


def _check_amount(amount_minor: int) -> None:
    if not 0 <= amount_minor <= LARGEST_AMOUNT_MINOR:
        raise DomainError(
            "amount_out_of_range",
            f"an amount is from 0 to {LARGEST_AMOUNT_MINOR} minor units",
            field="/amount_minor",
        )
