"""The order's axis of money, derived: nobody commands it, so it can't disagree with the events."""

from enum import StrEnum

from domain.payment.state import Outcome, Payment


class PaymentStatus(StrEnum):
    NONE = "none"
    AUTHORIZED = "authorized"
    PARTIALLY_PAID = "partially_paid"
    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    VOIDED = "voided"
    FAILED = "failed"


def payment_status(payment: Payment | None, *, owed_minor: int = 0) -> PaymentStatus:
    """Tell where the money is. None: nothing was ever asked for, as with imported orders.

    `owed_minor` is what the order's customer owes: where less was taken and nothing is held any
    more, a part is paid. What the customer's bank took back (a chargeback) is back with the
    customer, as a refund is. A free order is paid once it is authorized.
    """
    if payment is None:
        return PaymentStatus.NONE
    if payment.captured_minor > 0:
        return _of_captured(payment, owed_minor)
    if payment.voided_minor is not None:
        return _of_closed(payment)
    if payment.held is not None:
        return PaymentStatus.AUTHORIZED if payment.authorized_minor else PaymentStatus.PAID
    return PaymentStatus.FAILED if _last_failed(payment) else PaymentStatus.NONE


def _of_captured(payment: Payment, owed_minor: int) -> PaymentStatus:
    back_minor = payment.refunded_minor + payment.charged_back_minor
    if back_minor >= payment.captured_minor:
        return PaymentStatus.REFUNDED
    if back_minor:
        return PaymentStatus.PARTIALLY_REFUNDED
    all_taken = payment.captured_minor == payment.authorized_minor or (
        payment.voided_minor is not None and payment.captured_minor >= owed_minor
    )
    return PaymentStatus.PAID if all_taken else PaymentStatus.PARTIALLY_PAID


def _of_closed(payment: Payment) -> PaymentStatus:
    if payment.strays:
        return PaymentStatus.AUTHORIZED  # it came too late, and is yet to be let go of
    never_authorized = payment.held is None
    return (
        PaymentStatus.FAILED if never_authorized and _last_failed(payment) else PaymentStatus.VOIDED
    )


def _last_failed(payment: Payment) -> bool:
    last = payment.attempts.get(len(payment.attempts))
    return last is not None and last.outcome is Outcome.FAILED
