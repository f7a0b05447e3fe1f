"""Whatever happens in whatever order: no piece and no penny is lost, taken twice, or kept."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.errors import DomainError
from domain.fulfilment.events import (
    FulfilmentCompensating,
    FulfilmentStepFailed,
    FulfilmentStepStarted,
    Step,
)
from domain.fulfilment.facts import SURPLUS, ParcelStatus
from domain.fulfilment.standing import is_off, is_skipped
from domain.fulfilment.state import Condition
from domain.ids import Sku
from domain.order import decisions
from domain.order.decisions import LineToCancel, LineToRevise
from domain.order.events import OrderEvent, PaymentMethod
from domain.order.state import OrderStatus
from tests.domain.fulfilment.world import Luck, World
from tests.domain.orders import WHY, here, line

LUCK = st.sampled_from(Luck)
OVER = (
    OrderStatus.COMPLETED,
    OrderStatus.CANCELLED,
    OrderStatus.REJECTED,
    OrderStatus.EXPIRED,
)
MOST_TURNS = 400
"""Turns until everything rests; the longest stories take about a hundred."""


@dataclass(frozen=True)
class Setting:
    """How a story begins, and what luck its people have.

    Attributes:
        lucks: for the requests to the provider that no rule names a luck for; then all go well.
        returned: whether the parcels of the last days go back; then none does.
        ready: whether it begins with a confirmed order.
    """

    quantities: list[int]
    price: int
    shipping: int
    discount: int
    tax: int
    payment: PaymentMethod
    enough: bool
    lucks: list[Luck]
    returned: list[bool]
    ready: bool

    def world(self) -> World:
        lines = [
            line(n, "AB"[n - 1], quantity, self.price)
            for n, quantity in enumerate(self.quantities, 1)
        ]
        gross = self.price * sum(self.quantities) + self.shipping + self.tax
        order = here(
            lines=lines,
            shipping_minor=self.shipping,
            discount_minor=min(self.discount, gross),
            tax_minor=self.tax,
            payment=self.payment,
        )
        return World(order, enough_stock=self.enough or self.ready)


SETTINGS = st.builds(
    Setting,
    quantities=st.lists(st.integers(1, 3), min_size=1, max_size=2),
    price=st.sampled_from([333, 1, 0]),
    shipping=st.sampled_from([99, 0]),
    discount=st.sampled_from([0, 50, 700]),
    tax=st.sampled_from([0, 0, 70]),
    payment=st.sampled_from([*[PaymentMethod.TOKEN] * 3, PaymentMethod.SETTLED_ELSEWHERE]),
    enough=st.sampled_from([True, True, True, False]),
    lucks=st.lists(LUCK, max_size=12),
    returned=st.lists(st.booleans(), max_size=3),
    ready=st.booleans(),
)


class AnyStory(RuleBasedStateMachine):
    """Everybody acts at any time; the saga looks now and then, which is what a crash comes to."""

    world: World

    @initialize(setting=SETTINGS)
    def begin(self, setting: Setting) -> None:
        self.lucks = iter(setting.lucks)
        self.returned = iter(setting.returned)
        self.world = setting.world()
        while setting.ready and self.world.order.status is OrderStatus.PENDING:
            self.world.react()
            self.world.stock_works()
            self.world.payment_works(Luck.YES)

    def decide(self, decision: Callable[[], tuple[OrderEvent, ...]]) -> None:
        try:
            events = decision()
        except DomainError:
            return
        self.world.change(*events)

    @rule()
    def the_saga_looks(self) -> None:
        self.world.react()
        assert not self.world.react(), "a second look finds nothing new"

    @rule()
    def a_timer_fires(self) -> None:
        self.world.wait()

    @rule(service=st.sampled_from(["inventory", "payment"]), events=st.integers(1, 5))
    def steps_are_redelivered(self, service: str, events: int) -> None:
        self.world.redeliver(service, events)

    @rule(times=st.integers(1, 3))
    def the_inventory_works(self, times: int) -> None:
        for _ in range(times):
            self.world.stock_works()

    @rule()
    def a_reservation_expires(self) -> None:
        self.world.stock_expires()

    @rule()
    def the_inventory_ships(self) -> None:
        self.world.stock_ships()

    @rule(luck=LUCK)
    def the_payment_service_works(self, luck: Luck) -> None:
        self.world.payment_works(luck)

    @rule(luck=LUCK)
    def the_provider_reports(self, luck: Luck) -> None:
        self.world.provider_reports(luck)

    @rule(turns=st.integers(1, 6))
    def the_services_keep_up_for_a_while(self, turns: int) -> None:
        """Few stories would get to parcels without this."""
        for _ in range(turns):
            self.world.react()
            self.world.stock_works()
            self.world.payment_works(next(self.lucks, Luck.YES))

    @rule(
        number=st.integers(1, 2),
        end=st.sampled_from([None, ParcelStatus.DELIVERED, ParcelStatus.RETURNED]),
    )
    def a_parcel_leaves(self, number: int, end: ParcelStatus | None) -> None:
        self.the_merchant_packs(number, 1)
        self.world.move(ParcelStatus.PACKED, ParcelStatus.DISPATCHED)
        self.world.react()
        self.world.payment_works(next(self.lucks, Luck.YES))
        if end is not None:
            self.world.move(ParcelStatus.DISPATCHED, end)

    @rule(number=st.integers(1, 2), quantity=st.integers(1, 2))
    def the_merchant_packs(self, number: int, quantity: int) -> None:
        if number <= len(self.world.order.lines):
            self.world.pack({number: quantity})

    @rule(
        move=st.sampled_from(
            [
                (ParcelStatus.PACKED, ParcelStatus.DISPATCHED),
                (ParcelStatus.PACKED, ParcelStatus.DISPATCHED),
                (ParcelStatus.PACKED, ParcelStatus.CANCELLED),
                (ParcelStatus.DISPATCHED, ParcelStatus.DELIVERED),
                (ParcelStatus.DISPATCHED, ParcelStatus.DELIVERED),
                (ParcelStatus.DISPATCHED, ParcelStatus.RETURNED),
            ]
        )
    )
    def a_parcel_moves(self, move: tuple[ParcelStatus, ParcelStatus]) -> None:
        self.world.move(*move)

    @rule()
    def the_provider_lets_go_of_the_rest(self) -> None:
        self.world.provider_lets_go()

    @rule(number=st.integers(1, 2), rest=st.integers(1, 3))
    def a_parcel_comes_back_once_the_rest_is_let_go_of(self, number: int, rest: int) -> None:
        """Few stories would get to a parcel of which nothing is taken without this."""
        self.a_parcel_leaves(number, ParcelStatus.RETURNED)
        self.the_customer_cancels_pieces("AB"[2 - number], rest)
        self.world.provider_lets_go()
        self.a_parcel_leaves(number, ParcelStatus.DELIVERED)

    @rule()
    def people_receive_what_came_back(self) -> None:
        self.world.receive_what_came_back()

    @rule(number=st.integers(1, 2))
    def a_return_comes(self, number: int) -> None:
        if number <= len(self.world.order.lines):
            self.world.receive_return(number)

    @rule(part=st.integers(1, 3), luck=st.sampled_from([Luck.NO, Luck.YES, Luck.UNHEARD]))
    def people_give_money_back(self, part: int, luck: Luck) -> None:
        self.world.refund_by_hand(part, luck)

    @rule(luck=LUCK)
    def people_hear_of_a_refund_of_theirs(self, luck: Luck) -> None:
        self.world.hear_of_refund_by_hand(luck)

    @rule(part=st.integers(1, 3))
    def the_customers_bank_takes_money_back(self, part: int) -> None:
        self.world.bank_takes_back(part)

    @rule()
    def a_bank_sends_a_refund_back(self) -> None:
        self.world.bank_sends_back()

    @rule()
    def the_customer_cancels(self) -> None:
        parcels = self.world.facts.live_parcels()
        self.decide(
            partial(
                decisions.request_cancellation,
                self.world.order,
                parcels,
                reason="x",
                reason_code=WHY,
            )
        )

    @rule(sku=st.sampled_from("AB"), quantity=st.integers(1, 3))
    def the_customer_cancels_pieces(self, sku: str, quantity: int) -> None:
        self.decide(
            partial(
                decisions.cancel_lines,
                self.world.order,
                self.world.facts.live_parcels(),
                lines=[LineToCancel(Sku(sku), quantity)],
                reason="x",
                reason_code=WHY,
            )
        )

    @rule(sku=st.sampled_from("AB"), quantity=st.integers(1, 2))
    def the_customer_wants_fewer(self, sku: str, quantity: int) -> None:
        self.decide(
            partial(
                decisions.revise,
                self.world.order,
                self.world.facts.live_parcels(),
                lines=[LineToRevise(Sku(sku), quantity)],
                reason="x",
            )
        )

    @rule(release=st.booleans())
    def people_hold_it_or_release_it(self, *, release: bool) -> None:
        decide = decisions.release_hold if release else decisions.hold
        self.decide(partial(decide, self.world.order, reason="x"))

    @rule()
    def people_retry_what_is_stuck(self) -> None:
        self.world.retry_stuck()

    @rule(number=st.integers(1, 2))
    def people_leave_out_a_refund_for_a_return(self, number: int) -> None:
        """Few stories would get to a refund that is refused for good without this."""
        self.a_parcel_leaves(number, ParcelStatus.DELIVERED)
        while self.world.payment_works(next(self.lucks, Luck.YES)):
            pass
        self.a_return_comes(number)
        self.world.react()
        self.world.payment_works(Luck.NEVER)
        self.world.react()
        self.world.skip_refund()

    @invariant()
    def nothing_is_charged_twice(self) -> None:
        books = self.world.provider
        assert len(books.authorized) <= 1
        assert sum(books.captured.values()) <= sum(books.authorized.values())
        back = sum(books.refunded.values()) + books.charged_back
        assert back <= sum(books.captured.values())

    @invariant()
    def no_piece_is_for_sale_that_is_not_there_or_is_wanted(self) -> None:
        world, stock = self.world, self.world.facts.allocation
        if not stock.committed:
            return
        for one in world.order.lines:
            number = one.line_number
            wanted = 0 if is_off(world.order) else world.order.remaining(one)
            ours = stock.shipped.get(number, 0) + stock.held.get(number, 0)
            assert ours - world.received.get(number, 0) >= wanted

    @invariant()
    def nothing_is_captured_without_a_parcel_that_left(self) -> None:
        left = {
            parcel.shipment_id
            for parcel in self.world.facts.parcels
            if parcel.status not in (ParcelStatus.PACKED, ParcelStatus.CANCELLED)
        }
        assert not self.world.provider.captured or left
        assert set(self.world.provider.captured) <= left | {"rest"}

    @invariant()
    def one_thing_is_undone_at_a_time_and_for_one_reason(self) -> None:
        log = self.world.log
        assert sum(isinstance(event, FulfilmentCompensating) for event in log) <= 1
        undoing = [
            record
            for record in (() if self.world.saga is None else self.world.saga.live())
            if record.step in (Step.RELEASE, Step.VOID)
            or (record.step is Step.REFUND and record.subject.startswith(SURPLUS))
        ]
        assert len([one for one in undoing if one.subject != "lines"]) <= 1

    @invariant()
    def attempts_count_up_one_by_one(self) -> None:
        seen: dict[tuple[Step, str], int] = {}
        for event in self.world.log:
            if isinstance(event, FulfilmentStepStarted):
                key = (event.step, event.subject)
                assert event.attempt - seen.get(key, 0) in (0, 1)
                seen[key] = event.attempt

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.come_to_rest()
        self.check_the_end()

    def come_to_rest(self) -> None:
        """From now on everybody does their part, until nobody has anything left to do."""
        world = self.world
        for _ in range(MOST_TURNS):
            if world.order.on_hold:
                self.decide(partial(decisions.release_hold, world.order, reason="x"))
            world.retry_stuck()
            went_on = [
                world.react(),
                world.stock_works(),
                world.stock_ships(),
                world.payment_works(next(self.lucks, Luck.YES)),
                world.provider_reports(next(self.lucks, Luck.YES)),
                world.hear_of_refund_by_hand(next(self.lucks, Luck.YES)),
                world.pack_all(),
                world.move(ParcelStatus.PACKED, ParcelStatus.DISPATCHED),
                world.move(ParcelStatus.DISPATCHED, self.next_end()),
                world.receive_what_came_back(),
            ]
            if not any(went_on) and not world.wait():
                return
        raise AssertionError("it never came to rest")

    def next_end(self) -> ParcelStatus:
        back = next(self.returned, False)
        return ParcelStatus.RETURNED if back else ParcelStatus.DELIVERED

    def check_the_end(self) -> None:
        world, books = self.world, self.world.provider
        assert world.order.status in OVER
        assert world.saga is not None
        assert world.saga.over
        assert not [one for one in world.saga.steps if one.condition is Condition.STUCK]
        assert not world.facts.payment.held_minor
        assert not world.facts.allocation.holds_any
        assert not world.facts.pieces(ParcelStatus.PACKED)
        for one in world.order.lines:
            shipped = world.facts.allocation.shipped.get(one.line_number, 0)
            away = world.facts.gone().get(one.line_number, 0)
            assert shipped - world.received.get(one.line_number, 0) == away
        assert books.voided or sum(books.authorized.values()) == sum(books.captured.values())
        kept = sum(books.captured.values()) - sum(
            amount for name, amount in books.refunded.items() if name.startswith(SURPLUS)
        )
        back = sum(books.refunded.values()) + books.charged_back
        all_back = back == sum(books.captured.values())
        if world.order.status is not OrderStatus.COMPLETED:
            assert all_back
            assert not world.facts.gone()
            return
        for parcel in world.facts.parcels:
            if parcel.status is ParcelStatus.RETURNED:
                told = [one for one in world.log if one == came_back(world, parcel.shipment_id)]
                assert len(told) == 1
        delivered = world.facts.pieces(ParcelStatus.DELIVERED)
        for one in world.order.lines:
            assert delivered.get(one.line_number, 0) == world.order.remaining(one)
        owed = world.order.owed_minor if world.saga.charged else 0
        # Pieces that are cancelled after others were returned can lower what is owed below what
        # the returns have left: then all of it is back, and the surplus is part of their refunds.
        assert kept == owed or (kept > owed and all_back)
        for each in world.facts.returns:
            for receipt in each.receipts:
                assert receipt.refunded_minor == books.refunded.get(receipt.subject, 0)
                owed = receipt.refund_minor if world.saga.charged else 0
                left_out = is_skipped(world.saga, Step.REFUND, receipt.subject)
                less = (left_out or books.charged_back) and receipt.refunded_minor < owed
                assert less or receipt.refunded_minor == owed


def came_back(world: World, shipment_id: str) -> FulfilmentStepFailed:
    why = "returned_to_sender"
    return FulfilmentStepFailed(world.order.order_id, Step.DELIVER, shipment_id, 1, why, None)


AnyStory.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyStory = AnyStory.TestCase
