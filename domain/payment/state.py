"""What decisions need to know of an order's money, folded from its events. No rules here.

One payment per order, of any number of attempts, captures and refunds. Sums are always taken over
the entries, so that no total can disagree with what it is the total of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar, assert_never

from domain.aggregate import Aggregate
from domain.ids import OrderId
from domain.money import Currency
from domain.payment.events import (
    ChargebackReceived,
    DeclineCode,
    PaymentActionRequired,
    PaymentAuthorizationFailed,
    PaymentAuthorizationRequested,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentCaptureRequested,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    PaymentVoidRequested,
    RefundFailed,
    RefundRequested,
)

K = TypeVar("K", int, str)
V = TypeVar("V")


class Outcome(StrEnum):
    """What is known of a request to the provider. `voided` is for authorizations only."""

    PENDING = "pending"
    ACTION_REQUIRED = "action_required"
    DONE = "done"
    FAILED = "failed"
    VOIDED = "voided"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An authorization.

    Attributes:
        reference: the provider's id; None until it has told us.
        decline_code: why it failed, if it did.
    """

    amount_minor: int
    outcome: Outcome = Outcome.PENDING
    reference: str | None = None
    decline_code: DeclineCode | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A capture or a refund.

    Attributes:
        tries: how often it was asked for; each try after a failure has an idempotency key of
            its own, because a provider answers an old key with the old failure.
        refused: the provider will never do it.
    """

    amount_minor: int
    outcome: Outcome = Outcome.PENDING
    tries: int = 1
    refused: bool = False

    @property
    def failures(self) -> int:
        return self.tries if self.outcome is Outcome.FAILED else self.tries - 1


@dataclass(frozen=True, slots=True)
class Payment:
    """An order's money as decisions see it.

    Attributes:
        provider, currency: None where it was closed before anything was asked for.
        attempts: by number, from 1.
        held: the attempt that pays for the order; every other authorization is a stray.
        closed: a void was asked for, or the provider let go of it by itself.
        voided_minor: what the closing void released; None until it is done.
        captures: by capture id (the parcel's). refunds: by refund id.
        chargebacks: amount by the provider's dispute id.
    """

    order_id: OrderId
    provider: str | None = None
    currency: Currency | None = None
    attempts: Mapping[int, Attempt] = field(default_factory=dict)
    held: int | None = None
    closed: bool = False
    voided_minor: int | None = None
    captures: Mapping[str, Transfer] = field(default_factory=dict)
    refunds: Mapping[str, Transfer] = field(default_factory=dict)
    chargebacks: Mapping[str, int] = field(default_factory=dict)

    @property
    def authorized_minor(self) -> int:
        return 0 if self.held is None else self.attempts[self.held].amount_minor

    @property
    def captured_minor(self) -> int:
        return _sum(self.captures, Outcome.DONE)

    @property
    def capture_pending_minor(self) -> int:
        return _sum(self.captures, Outcome.PENDING)

    @property
    def capturable_minor(self) -> int:
        """What may still be asked for; while a void is under way, what it will release."""
        if self.voided_minor is not None:
            return 0
        return self.authorized_minor - self.captured_minor - self.capture_pending_minor

    @property
    def refunded_minor(self) -> int:
        return _sum(self.refunds, Outcome.DONE)

    @property
    def refund_pending_minor(self) -> int:
        return _sum(self.refunds, Outcome.PENDING)

    @property
    def charged_back_minor(self) -> int:
        return sum(self.chargebacks.values())

    @property
    def refundable_minor(self) -> int:
        """What may still be given back. What the bank took back is not given back once more."""
        gone = self.refunded_minor + self.refund_pending_minor + self.charged_back_minor
        return max(0, self.captured_minor - gone)

    def unpromised_minor(self, promised: Mapping[str, int], *, to_come_minor: int = 0) -> int:
        """What may still be given back beside refunds that are promised, by refund id.

        `to_come_minor` is what will be captured for parcels that have left, and is not yet.
        """
        to_ask = sum(
            amount_minor
            for refund_id, amount_minor in promised.items()
            if refund_id not in self.refunds or self.refunds[refund_id].outcome is Outcome.FAILED
        )
        return max(0, self.refundable_minor + to_come_minor - to_ask)

    @property
    def open_attempt(self) -> int | None:
        """The attempt of which it is not known what comes of it, if there is one."""
        waiting = {Outcome.PENDING, Outcome.ACTION_REQUIRED}
        return next((n for n, one in self.attempts.items() if one.outcome in waiting), None)

    @property
    def strays(self) -> tuple[int, ...]:
        """Attempts that hold the customer's money for nothing, until they are voided."""
        return tuple(
            number
            for number, attempt in self.attempts.items()
            if attempt.outcome is Outcome.DONE and number != self.held
        )


def evolve(payment: Payment | None, event: PaymentEvent) -> Payment:
    """Fold one event. What answers a request that was never made can't be, and crashes."""
    before = payment or Payment(order_id=event.order_id)
    match event:
        case (
            PaymentAuthorizationRequested()
            | PaymentActionRequired()
            | PaymentAuthorized()
            | PaymentAuthorizationFailed()
        ):
            return _attempted(before, event)
        case PaymentCaptureRequested() | PaymentCaptured() | PaymentCaptureFailed():
            return _captured(before, event)
        case PaymentVoidRequested() | PaymentVoided():
            return _voided(before, event)
        case RefundRequested() | PaymentRefunded() | RefundFailed():
            return _refunded(before, event)
        case ChargebackReceived():
            chargebacks = _with(before.chargebacks, event.dispute_id, event.amount_minor)
            return replace(before, chargebacks=chargebacks)
        case _:
            assert_never(event)


def _attempted(
    payment: Payment,
    event: PaymentAuthorizationRequested
    | PaymentActionRequired
    | PaymentAuthorized
    | PaymentAuthorizationFailed,
) -> Payment:
    number = event.attempt
    match event:
        case PaymentAuthorizationRequested():
            attempt = Attempt(event.amount_minor)
            payment = replace(payment, provider=event.provider, currency=event.currency)
        case PaymentActionRequired():
            attempt = replace(
                payment.attempts[number],
                outcome=Outcome.ACTION_REQUIRED,
                reference=event.reference,
            )
        case PaymentAuthorized():
            attempt = replace(
                payment.attempts[number], outcome=Outcome.DONE, reference=event.reference
            )
            if payment.held is None and not payment.closed:
                payment = replace(payment, held=number)
        case PaymentAuthorizationFailed():
            attempt = replace(
                payment.attempts[number], outcome=Outcome.FAILED, decline_code=event.decline_code
            )
        case _:
            assert_never(event)
    return replace(payment, attempts=_with(payment.attempts, number, attempt))


def _voided(payment: Payment, event: PaymentVoidRequested | PaymentVoided) -> Payment:
    # With a number it is about a stray attempt, without one about the payment.
    if event.attempt is None:
        payment = replace(payment, closed=True)
    if isinstance(event, PaymentVoidRequested):
        return payment
    if event.attempt is None:
        payment = replace(payment, voided_minor=event.amount_minor)
    number = payment.held if event.attempt is None else event.attempt
    if number is None:
        return payment
    attempt = replace(payment.attempts[number], outcome=Outcome.VOIDED)
    return replace(payment, attempts=_with(payment.attempts, number, attempt))


def _captured(
    payment: Payment, event: PaymentCaptureRequested | PaymentCaptured | PaymentCaptureFailed
) -> Payment:
    match event:
        case PaymentCaptureRequested():
            capture = _asked(payment.captures.get(event.capture_id), event.amount_minor)
        case PaymentCaptured():
            capture = replace(payment.captures[event.capture_id], outcome=Outcome.DONE)
        case PaymentCaptureFailed():
            capture = replace(
                payment.captures[event.capture_id], outcome=Outcome.FAILED, refused=event.final
            )
        case _:
            assert_never(event)
    return replace(payment, captures=_with(payment.captures, event.capture_id, capture))


def _refunded(payment: Payment, event: RefundRequested | PaymentRefunded | RefundFailed) -> Payment:
    match event:
        case RefundRequested():
            refund = _asked(payment.refunds.get(event.refund_id), event.amount_minor)
        case PaymentRefunded():
            refund = replace(payment.refunds[event.refund_id], outcome=Outcome.DONE)
        case RefundFailed():
            refund = replace(payment.refunds[event.refund_id], outcome=Outcome.FAILED)
        case _:
            assert_never(event)
    return replace(payment, refunds=_with(payment.refunds, event.refund_id, refund))


def _asked(before: Transfer | None, amount_minor: int) -> Transfer:
    return Transfer(amount_minor, tries=1 if before is None else before.tries + 1)


def _sum(transfers: Mapping[str, Transfer], outcome: Outcome) -> int:
    return sum(one.amount_minor for one in transfers.values() if one.outcome is outcome)


def _with(mapping: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    return MappingProxyType({**mapping, key: value})


PAYMENT: Aggregate[Payment, PaymentEvent] = Aggregate("payment.v1", Payment, evolve)
