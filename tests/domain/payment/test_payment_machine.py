"""Money is conserved whatever is asked, answered, lost, repeated and delayed, in any order.

A truthful provider keeps its own ledger, by idempotency key. Its messages are delivered late, twice
or out of order, next to commands of all kinds. At the end every question is answered once more (as
the reconciliation of unknown outcomes does), and both ledgers must agree to the cent.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.errors import DomainError
from domain.payment import decisions, outcomes
from domain.payment.events import PaymentEvent
from domain.payment.state import Outcome, Payment, evolve
from tests.domain.payment import messages
from tests.domain.payment.messages import Key, Message
from tests.domain.payment.payments import GBP, ORDER_ID

REFUSALS = {"illegal_transition", "capture_above_authorized", "refund_above_captured"}


@dataclass
class Hold:
    """An authorization at the provider. status: action, held, declined or released."""

    amount_minor: int
    status: str
    captures: dict[Key, int] = field(default_factory=dict)
    released_minor: int = 0


class MoneyIsConserved(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.payment: Payment | None = None
        self.voids_asked: set[int | None] = set()
        self.voids_done: set[int | None] = set()
        self.holds: dict[int, Hold] = {}
        self.refused: set[Key] = set()
        self.refunds: dict[Key, int] = {}
        self.bounced: set[Key] = set()
        self.mail: list[Message] = []

    # --- what is asked of us ---

    @initialize(answered=st.booleans())
    def most_payments_begin_well(self, answered: bool) -> None:  # noqa: FBT001
        self.ask_authorization(amount=100)
        if answered:
            self.provider_authorizes("held")
            self._book(self.mail[-1])

    @rule(amount=st.integers(0, 100))
    def ask_authorization(self, amount: int) -> None:
        attempt = len(self.payment.attempts) + 1 if self.payment else 1
        self._decide(
            lambda payment: decisions.request_authorization(
                payment,
                order_id=ORDER_ID,
                attempt=attempt,
                amount_minor=amount,
                currency=GBP,
                provider="sandbox",
            )
        )

    @rule(parcel=st.sampled_from("abc"), amount=st.integers(0, 60))
    def ask_capture(self, parcel: str, amount: int) -> None:
        payment = _some(self.payment)
        if parcel in payment.captures:
            amount = payment.captures[parcel].amount_minor
        self._decide(
            lambda payment: decisions.request_capture(
                _some(payment), capture_id=parcel, amount_minor=amount
            )
        )

    @rule()
    def ask_void(self) -> None:
        self._decide(lambda payment: decisions.request_void(payment, order_id=ORDER_ID))

    @rule(name=st.sampled_from("xyz"), amount=st.integers(0, 40))
    def ask_refund(self, name: str, amount: int) -> None:
        before = self.payment.refunds.get(name) if self.payment else None
        if before is not None and before.outcome is not Outcome.FAILED:
            amount = before.amount_minor
        self._decide(
            lambda payment: decisions.request_refund(
                payment, refund_id=name, amount_minor=amount, currency=GBP, reason="x"
            )
        )

    # --- what the provider does, once per idempotency key ---

    @rule(status=st.sampled_from(["held", "held", "action", "declined"]))
    @precondition(lambda self: self._unheard_attempts())
    def provider_authorizes(self, status: str) -> None:
        number = self._unheard_attempts()[0]
        self.holds[number] = Hold(_some(self.payment).attempts[number].amount_minor, status)
        self._tell_of_attempt(number)

    @rule(taken=st.booleans())
    @precondition(lambda self: any(one.status == "action" for one in self.holds.values()))
    def customer_acts(self, taken: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        number = next(n for n, one in self.holds.items() if one.status == "action")
        self.holds[number].status = "held" if taken else "declined"
        self._tell_of_attempt(number)

    @rule(willing=st.booleans())
    @precondition(lambda self: self._unheard_captures())
    def provider_captures(self, willing: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        self._capture(self._unheard_captures()[0], willing=willing)

    @rule(willing=st.booleans())
    @precondition(lambda self: self._unheard_refunds())
    def provider_refunds(self, willing: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        self._refund(self._unheard_refunds()[0], willing=willing)

    @rule()
    @precondition(lambda self: self.refunds.keys() - self.bounced)
    def bank_sends_a_refund_back(self) -> None:
        key = min(self.refunds.keys() - self.bounced)
        self.bounced.add(key)
        self.mail.append(messages.refund_failed(key))

    @rule()
    @precondition(lambda self: self.voids_asked - self.voids_done)
    def provider_voids(self) -> None:
        self._void(next(iter(self.voids_asked - self.voids_done)))

    # --- how messages come: any of them, and perhaps again later ---

    @rule(data=st.data(), keep=st.booleans())
    @precondition(lambda self: self.mail)
    def deliver(self, data: st.DataObject, keep: bool) -> None:  # noqa: FBT001
        index = -1 - data.draw(st.integers(0, len(self.mail) - 1))
        message = self.mail[index] if keep else self.mail.pop(index)
        self._book(message)

    # --- what must hold at every moment, and at the end ---

    @invariant()
    def never_more_than_there_is(self) -> None:
        if self.payment is None:
            return
        payment = self.payment
        assert 0 <= payment.captured_minor <= payment.authorized_minor
        assert payment.capturable_minor >= 0
        assert payment.refunded_minor + payment.refund_pending_minor <= payment.captured_minor
        taken = sum(sum(one.captures.values()) for one in self.holds.values())
        assert payment.captured_minor <= taken
        assert taken <= payment.captured_minor + payment.capture_pending_minor

    def teardown(self) -> None:
        if self.payment is None:
            return
        for _ in range(20):
            self._answer_everything()
        payment = self.payment
        assert payment.strays == ()
        assert payment.capture_pending_minor == payment.refund_pending_minor == 0
        for number, hold in self.holds.items():
            if payment.closed or number != payment.held:
                assert hold.status != "held"
        paying = self.holds.get(payment.held or 0)
        taken = sum(paying.captures.values()) if paying else 0
        assert payment.captured_minor == taken
        assert payment.refunded_minor == sum(
            amount for key, amount in self.refunds.items() if key not in self.bounced
        )
        if payment.voided_minor is not None:
            assert payment.voided_minor == (paying.released_minor if paying else 0)

    def _answer_everything(self) -> None:
        for number in self._unheard_attempts():
            self.holds[number] = Hold(_some(self.payment).attempts[number].amount_minor, "held")
        for number in self.holds:
            self._tell_of_attempt(number)
        for key in self._unheard_captures():
            self._capture(key, willing=True)
        for key in self._unheard_refunds():
            self._refund(key, willing=True)
        for asked in self.voids_asked - self.voids_done:
            self._void(asked)
        for message in self.mail:
            self._book(message)

    # --- the provider's side ---

    def _unheard_attempts(self) -> list[int]:
        if self.payment is None:
            return []
        return [
            number
            for number, one in self.payment.attempts.items()
            if one.outcome is Outcome.PENDING and number not in self.holds
        ]

    def _unheard_captures(self) -> list[Key]:
        if self.payment is None or self.payment.held is None:
            return []
        # An authorization of nothing holds nothing: no provider was asked.
        paying = self.holds.get(self.payment.held)
        heard = self.refused | (paying.captures.keys() if paying else set())
        pending = self.payment.captures.items()
        keys = [(name, one.tries) for name, one in pending if one.outcome is Outcome.PENDING]
        return [key for key in keys if key not in heard]

    def _unheard_refunds(self) -> list[Key]:
        if self.payment is None:
            return []
        pending = self.payment.refunds.items()
        keys = [(name, one.tries) for name, one in pending if one.outcome is Outcome.PENDING]
        return [key for key in keys if key not in self.refunds and key not in self.refused]

    def _capture(self, key: Key, *, willing: bool) -> None:
        payment = _some(self.payment)
        hold = self.holds[payment.held or 0]
        amount = payment.captures[key[0]].amount_minor
        left = hold.amount_minor - sum(hold.captures.values())
        if willing and hold.status == "held" and amount <= left:
            hold.captures[key] = amount
            self.mail.append(messages.captured(key, amount))
        else:
            self.refused.add(key)
            self.mail.append(messages.capture_failed(key))

    def _refund(self, key: Key, *, willing: bool) -> None:
        amount = _some(self.payment).refunds[key[0]].amount_minor
        if willing:
            self.refunds[key] = amount
            self.mail.append(messages.refunded(key, amount))
        else:
            self.refused.add(key)
            self.mail.append(messages.refund_failed(key))

    def _void(self, asked: int | None) -> None:
        payment = _some(self.payment)
        numbers = {payment.held, payment.open_attempt} if asked is None else {asked}
        for number in numbers & self.holds.keys():
            hold = self.holds[number or 0]
            if hold.status == "held":
                hold.released_minor = hold.amount_minor - sum(hold.captures.values())
            hold.status = "released" if hold.status == "held" else "declined"
        self.voids_done.add(asked)
        self.mail.append(lambda payment: outcomes.voided(payment, attempt=asked))

    def _tell_of_attempt(self, number: int) -> None:
        hold = self.holds[number]
        if hold.status == "held":
            self.mail.append(messages.authorized(number, hold.amount_minor))
        elif hold.status == "action":
            self.mail.append(messages.action(number))
        elif hold.status == "declined":
            self.mail.append(messages.declined(number))

    # --- our side ---

    def _decide(self, decide: Callable[[Payment | None], tuple[PaymentEvent, ...]]) -> None:
        try:
            self._append(decide(self.payment))
        except DomainError as error:
            if error.code not in REFUSALS:
                raise

    def _book(self, message: Message) -> None:
        self._append(message(_some(self.payment)))
        assert message(_some(self.payment)) == (), "the same message counts once"

    def _append(self, events: tuple[PaymentEvent, ...]) -> None:
        self.payment = reduce(evolve, events, self.payment)
        kinds = [type(event).__name__ for event in events]
        for event in events:
            if kinds[-1] == "PaymentVoidRequested" and type(event).__name__ == kinds[-1]:
                self.voids_asked.add(getattr(event, "attempt", None))


def _some(payment: Payment | None) -> Payment:
    assert payment is not None
    return payment


TestMoneyIsConserved = MoneyIsConserved.TestCase
TestMoneyIsConserved.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
