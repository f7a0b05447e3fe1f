"""Messages of a provider, to be delivered at any time and any number of times."""

from collections.abc import Callable

from domain.payment import outcomes
from domain.payment.events import DeclineCode, PaymentEvent
from domain.payment.state import Payment

Message = Callable[[Payment], tuple[PaymentEvent, ...]]
Key = tuple[str, int]
"""Which capture or refund, and which try of it."""


def authorized(number: int, amount: int) -> Message:
    return lambda payment: outcomes.authorized(
        payment, attempt=number, amount_minor=amount, reference=f"ref-{number}"
    )


def action(number: int) -> Message:
    return lambda payment: outcomes.action_required(
        payment, attempt=number, reference=f"ref-{number}", action_url=""
    )


def declined(number: int) -> Message:
    return lambda payment: outcomes.authorization_failed(
        payment, attempt=number, decline_code=DeclineCode.CARD_DECLINED, detail=""
    )


def captured(key: Key, amount: int) -> Message:
    return lambda payment: outcomes.captured(payment, capture_id=key[0], amount_minor=amount)


def capture_failed(key: Key) -> Message:
    return lambda payment: outcomes.capture_failed(
        payment, capture_id=key[0], try_number=key[1], detail="", final=False
    )


def refunded(key: Key, amount: int) -> Message:
    return lambda payment: outcomes.refunded(
        payment, refund_id=key[0], try_number=key[1], amount_minor=amount
    )


def refund_failed(key: Key) -> Message:
    return lambda payment: outcomes.refund_failed(
        payment, refund_id=key[0], try_number=key[1], detail=""
    )
