"""Everybody that an order has to do with, simulated: each may be slow, wrong, late or twice.

Services read the saga's steps as a log, from a place that may go back (redelivery), and find out
by their own state what was done. The provider keeps books of its own, which tell at the end
whether anybody was charged twice. Outcomes are drawn by the caller: `Luck`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import reduce
from uuid import UUID

from domain.fulfilment import saga as process
from domain.fulfilment import state
from domain.fulfilment.events import FulfilmentEvent, FulfilmentStepStarted, Step
from domain.fulfilment.facts import (
    BY_HAND,
    REST,
    SURPLUS,
    AllocationFacts,
    Facts,
    ParcelFacts,
    ParcelStatus,
    PaymentFacts,
    ReceiptFacts,
    ReturnFacts,
    ReturnStatus,
)
from domain.fulfilment.on_call import RETRYABLE, may_retry, retry, skip, time_out
from domain.fulfilment.standing import (
    is_by_hand,
    promised_minor,
    rest_minor,
    surplus_minor,
    to_leave,
    to_receive,
    unshipped,
)
from domain.fulfilment.state import NO_ANSWER, Condition, Fulfilment
from domain.fulfilment.timing import Timing
from domain.fulfilment.waiting import next_timer
from domain.ids import ReturnId
from domain.order.events import OrderEvent
from domain.order.guards import may_ship
from domain.order.state import Order, evolve
from domain.payment.events import DeclineCode
from domain.returns.events import ReturnRefunded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INVENTORY = (Step.RESERVE, Step.COMMIT, Step.RELEASE, Step.RESTOCK)
PAYMENT = (Step.AUTHORIZE, Step.CAPTURE, Step.VOID, Step.REFUND)


class Luck(Enum):
    """What the provider makes of a request."""

    YES = auto()
    NO = auto()
    NEVER = auto()
    """No, and not later either."""
    YES_UNHEARD = auto()
    """It is done, and the answer is lost."""
    UNHEARD = auto()
    """The request is lost, or waits for the customer."""


@dataclass
class Provider:
    """Its books: what was authorized and taken, by the key of each request."""

    authorized: dict[int, int] = field(default_factory=dict)
    captured: dict[str, int] = field(default_factory=dict)
    refunded: dict[str, int] = field(default_factory=dict)
    charged_back: int = 0
    voided: bool = False


@dataclass
class World:
    order: Order
    enough_stock: bool = True
    now: datetime = NOW
    timing: Timing = field(default_factory=Timing)
    saga: Fulfilment | None = None
    facts: Facts = field(default_factory=Facts)
    provider: Provider = field(default_factory=Provider)
    log: list[FulfilmentEvent] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=lambda: {"inventory": 0, "payment": 0})
    received: dict[int, int] = field(default_factory=dict)
    """Pieces that came back to the sender and that people received into stock, by line number."""
    surpluses: dict[str, int] = field(default_factory=dict)
    """What refunds of a surplus were asked for with: a later try asks for no more."""
    asking: bool = False
    """Whether an authorization was requested, and the payment service has heard nothing."""

    def react(self) -> bool:
        """Let the saga look; answer whether it said anything."""
        reaction = process.react(
            self.order, self.saga, self.facts, now=self.now, timing=self.timing
        )
        self.store(*reaction.fulfilment)
        self.order = reduce(evolve, reaction.order, self.order)
        for refunded in reaction.returns:
            self._mark_refunded(refunded)
        for unpacked in reaction.shipments:
            self._unpack(str(unpacked.shipment_id))
        return bool(reaction)

    def store(self, *events: FulfilmentEvent) -> None:
        self.log += events
        for event in events:
            self.saga = state.evolve(self.saga, event)

    def change(self, *events: OrderEvent) -> None:
        self.order = reduce(evolve, events, self.order)

    def wait(self) -> bool:
        """Let time pass until the next timer, and fire it."""
        due_at = None if self.saga is None else next_timer(self.saga)
        if self.saga is None or due_at is None:
            return False
        self.now = max(self.now, due_at)
        self.store(*time_out(self.saga, now=self.now))
        return True

    def retry_stuck(self) -> None:
        for record in () if self.saga is None else self.saga.live():
            if record.condition in RETRYABLE and may_retry(record) and self.saga is not None:
                self.store(
                    *retry(self.saga, record.step, record.subject, now=self.now, timing=self.timing)
                )

    def skip_refund(self) -> None:
        """Have people leave out the first refund of a return that failed for good."""
        saga, payment = self.saga, self.facts.payment
        refunds = [one for one in (saga.live() if saga else ()) if one.step is Step.REFUND]
        for name, record in ((one.subject, one) for one in refunds):
            failed = record.condition is Condition.STUCK and record.reason != NO_ANSWER
            if saga is not None and failed and not name.startswith((SURPLUS, BY_HAND)):
                self.store(*skip(saga, Step.REFUND, name, reason="paid", payment=payment))
                return

    # The log of steps, as two services read it.

    def next_step(self, service: str, steps: tuple[Step, ...]) -> FulfilmentStepStarted | None:
        while self.read[service] < len(self.log):
            event = self.log[self.read[service]]
            self.read[service] += 1
            if isinstance(event, FulfilmentStepStarted) and event.step in steps:
                return event
        return None

    def redeliver(self, service: str, events: int) -> None:
        self.read[service] = max(0, self.read[service] - events)

    # Inventory.

    def stock_works(self) -> bool:
        event = self.next_step("inventory", INVENTORY)
        if event is None:
            return False
        stock = self.facts.allocation
        if event.step is Step.RESERVE and not (stock.reserved or stock.short):
            if self.enough_stock:
                self._stock(reserved=True, held=self._wanted())
            else:
                self._stock(short=(1,))
        elif event.step is Step.COMMIT and stock.holds_any:
            self._stock(committed=True)
        elif event.step is Step.RELEASE and not event.subject:
            while self.stock_ships():  # a dispatch stands before it in the log
                pass
            self._stock(held={})
        elif event.step is Step.RELEASE:
            most = to_leave(self.order, self.facts)
            self._stock(held={n: min(held, most[n]) for n, held in stock.held.items()})
        elif event.step is Step.RESTOCK:
            self._stock(restocked=stock.restocked | {event.subject})
        return True

    def stock_expires(self) -> None:
        """End the reservation by the inventory's own sweep."""
        if self.facts.allocation.reserved and not self.facts.allocation.committed:
            self._stock(held={})

    def stock_ships(self) -> bool:
        """Take the pieces of the next parcel that left from the shelves, those that are held."""
        stock = self.facts.allocation
        for parcel in self.facts.parcels:
            if parcel.was_dispatched and parcel.shipment_id not in stock.shipments:
                moves = {n: min(parcel.pieces.get(n, 0), held) for n, held in stock.held.items()}
                self._stock(
                    held={n: held - moves[n] for n, held in stock.held.items()},
                    shipped={n: stock.shipped.get(n, 0) + move for n, move in moves.items()},
                    shipments=stock.shipments | {parcel.shipment_id},
                )
                return True
        return False

    def receive_what_came_back(self) -> bool:
        """Put on the shelves what came back to the sender and won't be sent again."""
        before = dict(self.received)
        self.received |= to_receive(self.order, self.facts)
        return self.received != before

    # Payment and its provider.

    def payment_works(self, luck: Luck) -> bool:
        event = self.next_step("payment", PAYMENT)
        if event is None:
            return False
        match event.step:
            case Step.AUTHORIZE:
                self._authorize(event.attempt, luck)
            case Step.CAPTURE:
                self._capture(event, luck)
            case Step.VOID:
                self._void(luck)
            case _:
                self._refund(event, luck)
        return True

    def provider_reports(self, luck: Luck) -> bool:
        """Hear by webhook what became of an authorization, or of the customer's confirmation."""
        payment = self.facts.payment
        if not self.asking:
            return False
        known = payment.attempt in self.provider.authorized
        if not known and luck in (Luck.YES, Luck.YES_UNHEARD):
            self.provider.authorized[payment.attempt] = self.order.total_minor
            known = True
        if known:
            self._hear(authorized=True)
        elif luck in (Luck.NO, Luck.NEVER):
            self._hear(decline=DeclineCode.ACTION_NOT_TAKEN)
        return luck is not Luck.UNHEARD

    def _authorize(self, attempt: int, luck: Luck) -> None:
        payment = self.facts.payment
        if payment.voided or attempt < payment.attempt or payment.authorized:
            return
        if attempt == payment.attempt:
            # Asked about again: the provider's books are looked up, nothing is charged anew.
            if self.asking and attempt in self.provider.authorized:
                self._hear(authorized=True)
            return
        self.asking = True
        self._pay(attempt=attempt, decline=None)
        if luck in (Luck.YES, Luck.YES_UNHEARD):
            assert not self.provider.authorized, "charged twice"
            self.provider.authorized[attempt] = self.order.total_minor
        if luck is Luck.YES:
            self._hear(authorized=True)
        if luck in (Luck.NO, Luck.NEVER):
            soft = luck is Luck.NO
            decline = DeclineCode.INSUFFICIENT_FUNDS if soft else DeclineCode.FRAUD
            self._hear(decline=decline)

    def _hear(self, **outcome: object) -> None:
        self.asking = False
        self._pay(**outcome)

    def _look_up_captures(self) -> None:
        """Find out what became of earlier ones before there is another."""
        self._pay(captures=dict(self.provider.captured))

    def _capture(self, event: FulfilmentStepStarted, luck: Luck) -> None:
        payment, name = self.facts.payment, event.subject
        if name in payment.captures or payment.failures.get(name, 0) >= event.attempt:
            return
        self._look_up_captures()
        if name not in self.provider.captured:
            share = self._share(name)
            amount = share if payment.voided else min(share, self.facts.payment.held_minor)
            if not amount:
                luck = Luck.YES  # nobody is asked to move 0
            if not payment.authorized or (amount and payment.voided) or self._fails(event, luck):
                return
            self.provider.captured[name] = amount
        if luck is Luck.YES:
            self._look_up_captures()
        self._pay()

    def _refund(self, event: FulfilmentStepStarted, luck: Luck) -> None:
        payment, name = self.facts.payment, event.subject
        if name in payment.refunds or payment.failures.get(name, 0) >= event.attempt:
            return
        if name not in self.provider.refunded:
            amount = self._owed_back(name)
            too_much = amount > self._left_minor() or (
                is_by_hand(name) and amount > self._left_minor() - promised_minor(self.facts)
            )
            is_for_return = not (name.startswith(SURPLUS) or is_by_hand(name))
            if not amount and is_for_return:
                self.provider.refunded[name] = 0  # nothing is left, and nobody is asked
            elif not amount or too_much or self._fails(event, luck):
                return
            else:
                self.provider.refunded[name] = amount
        heard = {} if luck is Luck.YES_UNHEARD else {name: self.provider.refunded[name]}
        self._pay(refunds={**payment.refunds, **heard})

    def refund_by_hand(self, part: int, luck: Luck) -> None:
        """Ask for a part of what is left, as people do; the answer may come later."""
        payment = self.facts.payment
        known = {**payment.failures, **payment.refunds, **payment.refunding}
        names = [name for name in known if is_by_hand(name)]
        name = f"{BY_HAND}/{len(names) + 1}"
        amount = max(0, self._left_minor() - promised_minor(self.facts)) // part
        if not amount:
            return
        if luck is Luck.YES:
            self.provider.refunded[name] = amount
            self._pay(refunds={**payment.refunds, name: amount})
        elif luck is Luck.UNHEARD:
            self.provider.refunded[name] = amount
            self._pay()
        else:
            self._fail_by_hand(name, amount)

    def hear_of_refund_by_hand(self, luck: Luck) -> bool:
        """Hear what came of the first of people's refunds that is under way."""
        payment = self.facts.payment
        for name in filter(is_by_hand, payment.refunding):
            amount = payment.refunding[name]
            if luck in (Luck.YES, Luck.YES_UNHEARD):
                self._pay(refunds={**payment.refunds, name: amount})
            elif luck in (Luck.NO, Luck.NEVER):
                del self.provider.refunded[name]
                self._fail_by_hand(name, amount)
            return luck is not Luck.UNHEARD
        return False

    def _fail_by_hand(self, name: str, amount: int) -> None:
        payment = self.facts.payment
        failures = {**payment.failures, name: payment.failures.get(name, 0) + 1}
        self._pay(in_vain={**payment.in_vain, name: amount}, failures=failures)

    def bank_takes_back(self, part: int) -> None:
        """Charge a part of what is left back."""
        amount = self._left_minor() // part
        self.provider.charged_back += amount
        self._pay(charged_back_minor=self.provider.charged_back)

    def bank_sends_back(self) -> None:
        """Have the first refund that came through come to nothing after all."""
        payment = self.facts.payment
        for name, amount in payment.refunds.items():
            if amount:
                del self.provider.refunded[name]
                back = {name: amount} if is_by_hand(name) else {}
                self._pay(
                    refunds={n: minor for n, minor in payment.refunds.items() if n != name},
                    failures={**payment.failures, name: payment.failures.get(name, 0) + 1},
                    in_vain={**payment.in_vain, **back},
                )
                return

    def _left_minor(self) -> int:
        books = self.provider
        gone = sum(books.refunded.values()) + books.charged_back
        return sum(books.captured.values()) - gone

    def _fails(self, event: FulfilmentStepStarted, luck: Luck) -> bool:
        payment, name = self.facts.payment, event.subject
        if luck in (Luck.NO, Luck.NEVER):
            refused = {name} if luck is Luck.NEVER else set()
            failures = {**payment.failures, name: payment.failures.get(name, 0) + 1}
            self._pay(failures=failures, refused=payment.refused | refused)
        return luck in (Luck.NO, Luck.NEVER, Luck.UNHEARD)

    def provider_lets_go(self) -> None:
        """Let an authorization run out of which nothing more is owed: else it would be our loss."""
        payment = self.facts.payment
        spent = self.order.owed_minor <= payment.captured_minor
        if payment.authorized and not (payment.pending or payment.voided) and spent:
            self.provider.voided = True
            self._pay(voided=True)

    def _void(self, luck: Luck) -> None:
        if luck not in (Luck.YES, Luck.YES_UNHEARD):
            return
        self._look_up_captures()
        if self.asking:
            known = self.facts.payment.attempt in self.provider.authorized
            self._hear(authorized=known, decline=None if known else DeclineCode.ACTION_NOT_TAKEN)
        self.provider.voided = True
        if luck is Luck.YES:
            self._pay(voided=True)

    def _share(self, name: str) -> int:
        if name == REST:
            return rest_minor(self.order, self.facts.payment)
        owed, taken = self.order.owed_minor, self.facts.payment.captured_minor
        if not unshipped(self.order, self.facts):
            return max(0, owed - taken)
        gone, price = self.facts.gone(), self._prices()
        wanted = sum(quantity * price[n] for n, quantity in self._wanted().items())
        left = sum(quantity * price[n] for n, quantity in gone.items())
        return max(0, owed * left // wanted - taken) if wanted else 0

    def _owed_back(self, name: str) -> int:
        payment = self.facts.payment
        if name.startswith(SURPLUS):
            left = self._left_minor() - promised_minor(self.facts)
            amount = max(0, min(surplus_minor(self.order, self.facts), left))
            amount = min(amount, self.surpluses.get(name, amount))
            self.surpluses |= {name: amount} if amount else {}
            return amount
        if is_by_hand(name):
            return payment.in_vain.get(name, 0)
        owed = {r.subject: r.refund_minor for each in self.facts.returns for r in each.receipts}
        return min(owed[name], max(0, self._left_minor()))

    # Merchant and carrier.

    def pack(self, pieces: Mapping[int, int]) -> bool:
        left = self._wanted()
        for number, quantity in self.facts.live_parcels().pieces.items():
            left[number] -= quantity
        fits = all(0 < quantity <= left[number] for number, quantity in pieces.items())
        if not (may_ship(self.order) and pieces and fits):
            return False
        name = str(UUID(int=len(self.facts.parcels) + 1))
        parcel = ParcelFacts(name, ParcelStatus.PACKED, dict(pieces))
        self.facts = replace(self.facts, parcels=(*self.facts.parcels, parcel))
        return True

    def pack_all(self) -> bool:
        live = self.facts.live_parcels().pieces
        wanted = self._wanted().items()
        return self.pack({n: q - live.get(n, 0) for n, q in wanted if q > live.get(n, 0)})

    def move(self, before: ParcelStatus, after: ParcelStatus) -> bool:
        """Move the first parcel that is in one status to another."""
        if after is ParcelStatus.DISPATCHED and not may_ship(self.order):
            return False
        for index, parcel in enumerate(self.facts.parcels):
            if parcel.status is before:
                moved = replace(parcel, status=after, heard_at=self.now)
                parcels = (*self.facts.parcels[:index], moved, *self.facts.parcels[index + 1 :])
                self.facts = replace(self.facts, parcels=parcels)
                return True
        return False

    def _unpack(self, shipment_id: str) -> None:
        parcels = tuple(
            replace(one, status=ParcelStatus.CANCELLED) if one.shipment_id == shipment_id else one
            for one in self.facts.parcels
        )
        self.facts = replace(self.facts, parcels=parcels)

    def receive_return(self, number: int) -> None:
        """Ask for, approve and receive the return of one delivered piece."""
        came = sum(each.pieces.get(number, 0) for each in self.facts.returns)
        if self.facts.pieces(ParcelStatus.DELIVERED).get(number, 0) <= came:
            return
        return_id = ReturnId(UUID(int=len(self.facts.returns) + 1))
        receipt = ReceiptFacts(
            return_id, 1, self._refund_of(number), restock=1, refunded_minor=None
        )
        back = ReturnFacts(return_id, ReturnStatus.RECEIVED, {number: 1}, (receipt,))
        self.facts = replace(self.facts, returns=(*self.facts.returns, back))

    def _refund_of(self, number: int) -> int:
        """Give the piece's share of what was taken, less what was given back or promised."""
        left = self.facts.payment.kept_minor - promised_minor(self.facts)
        return max(0, min(self._prices()[number], left))

    def _mark_refunded(self, told: ReturnRefunded) -> None:
        key = (told.return_id, told.receipt_number)
        returns = tuple(
            replace(
                each,
                receipts=tuple(
                    replace(receipt, refunded_minor=told.refund_minor)
                    if (receipt.return_id, receipt.receipt_number) == key
                    else receipt
                    for receipt in each.receipts
                ),
            )
            for each in self.facts.returns
        )
        self.facts = replace(self.facts, returns=returns)

    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def _wanted(self) -> dict[int, int]:
        return {line.line_number: self.order.remaining(line) for line in self.order.lines}

    def _prices(self) -> dict[int, int]:
        return {line.line_number: line.unit_price_minor for line in self.order.lines}

    def _stock(self, **changes: object) -> None:
        allocation: AllocationFacts = replace(self.facts.allocation, **changes)  # type: ignore[arg-type]
        self.facts = replace(self.facts, allocation=allocation)

    def _pay(self, **changes: object) -> None:
        payment: PaymentFacts = replace(self.facts.payment, **changes)  # type: ignore[arg-type]
        held = 0
        if payment.authorized and not payment.voided:
            held = self.provider.authorized[payment.attempt] - payment.captured_minor
        pending = self.asking or len(payment.captures) < len(self.provider.captured)
        refunded = self.provider.refunded
        payment = replace(
            payment,
            held_minor=held,
            pending=pending,
            refunding={n: minor for n, minor in refunded.items() if n not in payment.refunds},
            in_vain={n: minor for n, minor in payment.in_vain.items() if n not in refunded},
        )
        self.facts = replace(self.facts, payment=payment)
