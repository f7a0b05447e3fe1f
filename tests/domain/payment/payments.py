"""Payments for tests: what has happened, in few words."""

from collections.abc import Callable, Iterable
from functools import reduce
from uuid import UUID

import pytest

from domain.errors import DomainError
from domain.ids import OrderId
from domain.money import Currency
from domain.payment.events import (
    DeclineCode,
    PaymentAuthorizationFailed,
    PaymentAuthorizationRequested,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureRequested,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    PaymentVoidRequested,
    RefundRequested,
)
from domain.payment.state import Payment, evolve

ORDER_ID = OrderId(UUID(int=1))
GBP = Currency("GBP")


def asked(attempt: int = 1, amount_minor: int = 100) -> PaymentAuthorizationRequested:
    return PaymentAuthorizationRequested(ORDER_ID, attempt, amount_minor, GBP, "sandbox")


def held(attempt: int = 1, amount_minor: int = 100) -> PaymentAuthorized:
    return PaymentAuthorized(ORDER_ID, attempt, amount_minor, f"ref-{attempt}")


def declined(attempt: int = 1) -> PaymentAuthorizationFailed:
    return PaymentAuthorizationFailed(ORDER_ID, attempt, DeclineCode.CARD_DECLINED, "no")


AUTHORIZED: tuple[PaymentEvent, ...] = (asked(), held())
CLOSING = PaymentVoidRequested(ORDER_ID)
CLOSED = PaymentVoided(ORDER_ID, 100)


def capture(capture_id: str, amount_minor: int) -> tuple[PaymentEvent, ...]:
    return (
        PaymentCaptureRequested(ORDER_ID, capture_id, amount_minor),
        PaymentCaptured(ORDER_ID, capture_id, amount_minor),
    )


def refund(refund_id: str, amount_minor: int) -> tuple[PaymentEvent, ...]:
    return (
        RefundRequested(ORDER_ID, refund_id, amount_minor, "x"),
        PaymentRefunded(ORDER_ID, refund_id, amount_minor),
    )


def given(*events: PaymentEvent) -> Payment:
    return after(events)


def after(events: Iterable[PaymentEvent]) -> Payment:
    payment = reduce(evolve, events, None)
    assert payment is not None
    return payment


def refused(decide: Callable[[], object]) -> DomainError:
    with pytest.raises(DomainError) as caught:
        decide()
    return caught.value
