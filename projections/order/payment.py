"""What a payment's events change in the order's document: the money, and each of its movements.

The payment's own aggregate says what an event means; here is only how that is shown. Its
references at the provider are not: who needs them reads the history.
"""

from collections.abc import Mapping

from domain.envelope import Recorded
from domain.events import DomainEvent
from domain.money import Currency, Money
from domain.order.events import PaymentMethod
from domain.payment.events import (
    ChargebackReceived,
    PaymentActionRequired,
    PaymentAuthorizationFailed,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    RefundFailed,
)
from domain.payment.state import Outcome, Payment, Transfer, evolve
from projections.order.body import Body, tell
from projections.order.states import payment_of

_WORDS: Mapping[type[PaymentEvent], tuple[str, str]] = {
    PaymentActionRequired: ("payment_action_required", "Please confirm the payment with your bank"),
    PaymentAuthorized: ("payment_authorized", "Payment authorized"),
    PaymentAuthorizationFailed: ("payment_declined", "Payment declined"),
    PaymentCaptured: ("payment_captured", "{amount} paid"),
    PaymentVoided: ("payment_voided", "{amount} not taken, and yours again"),
    PaymentRefunded: ("payment_refunded", "{amount} refunded"),
    RefundFailed: ("refund_failed", "A refund did not come through"),
    ChargebackReceived: ("chargeback_received", "{amount} taken back by your bank"),
}
"""Steps of the timeline. What is only asked of the provider is no matter of the customer's."""


def begin(method: PaymentMethod) -> Body:
    """Write a payment of which nothing has happened."""
    return {
        "method": str(method),
        "provider": None,
        "authorized_minor": 0,
        "captured_minor": 0,
        "refunded_minor": 0,
        "refund_pending_minor": 0,
        "voided_minor": 0,
        "chargeback_minor": 0,
        "last_decline": None,
        "action_url": None,
        "paying_attempt": None,
        "is_closed": False,
        "is_voided": False,
        "attempts": [],
        "captures": [],
        "refunds": [],
        "chargebacks": [],
    }


def change(body: Body, event: PaymentEvent, recorded: Recorded[DomainEvent]) -> None:
    before = payment_of(body)
    after = evolve(before, event)
    body["payment"] = body["payment"] | _shown(after) | _said(body["payment"], event, after)
    told = _words(event, after, Currency(body["currency"]))
    if told is not None:
        tell(body, recorded, *told)


def _shown(payment: Payment) -> Body:
    return {
        "provider": payment.provider,
        "authorized_minor": payment.authorized_minor,
        "captured_minor": payment.captured_minor,
        "refunded_minor": payment.refunded_minor,
        "refund_pending_minor": payment.refund_pending_minor,
        "voided_minor": payment.voided_minor or 0,
        "chargeback_minor": payment.charged_back_minor,
        "paying_attempt": payment.held,
        "is_closed": payment.closed,
        "is_voided": payment.voided_minor is not None,
        "attempts": [
            {
                "attempt": number,
                "amount_minor": one.amount_minor,
                "outcome": str(one.outcome),
                "decline_code": None if one.decline_code is None else str(one.decline_code),
            }
            for number, one in payment.attempts.items()
        ],
        "captures": _transfers("capture_id", payment.captures),
        "refunds": _transfers("refund_id", payment.refunds),
        "chargebacks": [
            {"dispute_id": dispute_id, "amount_minor": amount_minor}
            for dispute_id, amount_minor in payment.chargebacks.items()
        ],
    }


def _transfers(name: str, transfers: Mapping[str, Transfer]) -> list[Body]:
    return [
        {
            name: key,
            "amount_minor": one.amount_minor,
            "outcome": str(one.outcome),
            "tries": one.tries,
            "is_final": one.refused,
        }
        for key, one in transfers.items()
    ]


def _said(shown: Body, event: PaymentEvent, after: Payment) -> Body:
    """Give what the aggregate doesn't remember: the last decline, and where to confirm it."""
    decline, url = shown["last_decline"], shown["action_url"]
    if isinstance(event, PaymentAuthorizationFailed):
        decline = str(event.decline_code)
    elif isinstance(event, PaymentAuthorized):
        decline = None
    elif isinstance(event, PaymentActionRequired):
        url = event.action_url
    waits = any(one.outcome is Outcome.ACTION_REQUIRED for one in after.attempts.values())
    return {"last_decline": decline, "action_url": url if waits and not after.closed else None}


def _words(event: PaymentEvent, after: Payment, currency: Currency) -> tuple[str, str] | None:
    """Give a step of the timeline; None where it is no matter of the customer's, or moved nothing.

    A parcel's share may be nothing, as with a discount, or what is packed again after it came back.
    """
    if isinstance(event, PaymentAuthorized) and event.attempt != after.held:
        return None
    if isinstance(event, PaymentVoided) and event.attempt is not None:
        return None
    amount_minor = getattr(event, "amount_minor", None)
    if type(event) not in _WORDS or amount_minor == 0:
        return None
    code, text = _WORDS[type(event)]
    return code, text.format(amount=Money(amount_minor or 0, currency))
