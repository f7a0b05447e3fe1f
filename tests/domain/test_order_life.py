"""The rules of an order that is fulfilled here: its statuses, holds, and what may change when."""

from collections.abc import Callable
from functools import partial
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.errors import DomainError
from domain.ids import Sku
from domain.order import decisions
from domain.order.decisions import LineToCancel, LineToRevise
from domain.order.events import (
    CancelledLine,
    CancelReason,
    HoldReason,
    OrderCancellationRequested,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderEvent,
    OrderExpired,
    OrderHeld,
    OrderHoldReleased,
    OrderLinesCancelled,
    OrderRejected,
    OrderRevised,
    RevisedLine,
    ShippingAddressChanged,
)
from domain.order.parcels import NO_PARCELS, Parcels
from domain.order.state import Order, OrderStatus, evolve
from domain.personal import Address, PersonalData
from tests.domain.orders import ORDER_ID, WHY, given, here, line, place, refused

CONFIRMED = OrderConfirmed(ORDER_ID)
HELD = OrderHeld(ORDER_ID, HoldReason.OTHER, "x")
REQUESTED = OrderCancellationRequested(ORDER_ID, "too late", CancelReason.CUSTOMER)
ENDS: dict[OrderStatus, tuple[OrderEvent, ...]] = {
    OrderStatus.COMPLETED: (CONFIRMED, OrderCompleted(ORDER_ID)),
    OrderStatus.REJECTED: (OrderRejected(ORDER_ID, "declined", "x"),),
    OrderStatus.EXPIRED: (OrderExpired(ORDER_ID, "x"),),
    OrderStatus.CANCEL_PENDING: (REQUESTED,),
    OrderStatus.CANCELLED: (REQUESTED, OrderCancelled(ORDER_ID, "too late", CancelReason.CUSTOMER)),
}
ELSEWHERE = PersonalData(name="Ada", shipping_address=Address("DE", city="Ulm"))


def parcels(dispatched: bool = False, **pieces: int) -> Parcels:  # noqa: FBT001, FBT002
    """Give parcels by line: `parcels(line1=2)`."""
    return Parcels(
        MappingProxyType({int(name.removeprefix("line")): n for name, n in pieces.items()}),
        dispatched=dispatched,
    )


COMMANDS: dict[str, Callable[[Order], tuple[OrderEvent, ...]]] = {
    "confirm": decisions.confirm,
    "reject": lambda order: decisions.reject(order, reason_code="declined", reason="x"),
    "expire": lambda order: decisions.expire(order, reason="x"),
    "complete": decisions.complete,
    "hold": lambda order: decisions.hold(order, reason="x"),
    "release_hold": lambda order: decisions.release_hold(order, reason="x"),
    "request_cancellation": lambda order: decisions.request_cancellation(
        order, NO_PARCELS, reason="x", reason_code=WHY
    ),
    "cancel_lines": lambda order: decisions.cancel_lines(
        order, NO_PARCELS, lines=[LineToCancel(Sku("A"), 1)], reason="x", reason_code=WHY
    ),
    "revise": lambda order: decisions.revise(
        order, NO_PARCELS, lines=[LineToRevise(Sku("A"), 1)], reason="x"
    ),
    "change_address": lambda order: decisions.change_address(order, NO_PARCELS, personal=ELSEWHERE),
}


def test_a_pending_order_is_confirmed_and_then_completed() -> None:
    assert decisions.confirm(here()) == (CONFIRMED,)
    assert decisions.complete(here(CONFIRMED)) == (OrderCompleted(ORDER_ID),)


def test_a_rejection_names_the_lines_that_fell_short() -> None:
    events = decisions.reject(here(), reason_code="short_stock", reason="sold out", short=[1])
    assert events == (OrderRejected(ORDER_ID, "short_stock", "sold out", (1,)),)


def test_an_order_that_nobody_paid_in_time_expires() -> None:
    assert decisions.expire(here(), reason="no payment") == (OrderExpired(ORDER_ID, "no payment"),)


@pytest.mark.parametrize("command", ["confirm", "reject", "expire"])
def test_only_a_pending_order_is_confirmed_or_rejected_or_expires(command: str) -> None:
    assert refused(lambda: COMMANDS[command](here(CONFIRMED))).extra == {
        "order_status": "confirmed"
    }


def test_a_pending_order_is_not_completed() -> None:
    assert refused(lambda: decisions.complete(here())).extra == {"order_status": "pending"}


@pytest.mark.parametrize("status", ENDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_decided_on_an_order_that_is_over(status: OrderStatus, command: str) -> None:
    error = refused(lambda: COMMANDS[command](here(*ENDS[status])))
    assert (error.code, error.extra) == ("illegal_transition", {"order_status": str(status)})


@pytest.mark.parametrize("before", [(), (CONFIRMED,)])
def test_an_open_order_is_held_once_and_released_once(before: tuple[OrderEvent, ...]) -> None:
    assert decisions.hold(here(*before), reason="x") == (HELD,)
    assert here(*before, HELD).on_hold
    assert refused(lambda: decisions.hold(here(*before, HELD), reason="y")).code == (
        "illegal_transition"
    )
    released = decisions.release_hold(here(*before, HELD), reason="fine")
    assert released == (OrderHoldReleased(ORDER_ID, "fine"),)
    assert not here(*before, HELD, *released).on_hold
    assert refused(lambda: decisions.release_hold(here(*before), reason="y")).code == (
        "illegal_transition"
    )


@pytest.mark.parametrize("status", sorted(set(ENDS) - {OrderStatus.CANCEL_PENDING}))
def test_an_order_that_is_over_is_on_hold_no_more(status: OrderStatus) -> None:
    assert not here(HELD, *ENDS[status]).on_hold


@pytest.mark.parametrize("before", [(), (CONFIRMED,), (CONFIRMED, HELD)])
def test_the_cancellation_of_an_order_that_is_fulfilled_here_is_asked_for_first(
    before: tuple[OrderEvent, ...],
) -> None:
    events = decisions.request_cancellation(
        here(*before), parcels(line1=5), reason="too late", reason_code=CancelReason.CUSTOMER
    )
    assert events == (REQUESTED,)
    assert here(*before, *events).status is OrderStatus.CANCEL_PENDING


def test_a_requested_cancellation_is_finished_with_the_code_that_it_was_asked_for() -> None:
    assert decisions.finish_cancellation(here(REQUESTED)) == (
        OrderCancelled(ORDER_ID, "as requested", CancelReason.CUSTOMER),
    )
    for order in (here(), here(CONFIRMED)):
        error = refused(partial(decisions.finish_cancellation, order))
        assert error.code == "illegal_transition"


def test_an_order_that_is_fulfilled_elsewhere_is_cancelled_at_once() -> None:
    events = decisions.request_cancellation(given(place()), NO_PARCELS, reason="x", reason_code=WHY)
    assert events == (OrderCancelled(ORDER_ID, "x", WHY),)


def test_an_order_that_is_fulfilled_here_is_never_cancelled_at_once() -> None:
    error = refused(lambda: decisions.cancel(here(), reason="x", reason_code=WHY))
    assert error.code == "illegal_transition"


def test_an_order_is_not_cancelled_once_a_parcel_is_dispatched() -> None:
    error = refused(
        lambda: decisions.request_cancellation(
            here(CONFIRMED), parcels(dispatched=True, line1=1), reason="x", reason_code=WHY
        )
    )
    assert (error.code, error.extra) == ("illegal_transition", {"order_status": "confirmed"})


def test_pieces_in_a_parcel_are_not_cancelled_and_the_others_are() -> None:
    order, packed = here(CONFIRMED), parcels(dispatched=True, line1=3)
    [event] = decisions.cancel_lines(
        order, packed, lines=[LineToCancel(Sku("A"), 2)], reason="x", reason_code=WHY
    )
    assert event == OrderLinesCancelled(ORDER_ID, (CancelledLine(1, Sku("A"), 2),), "x", WHY)
    error = refused(
        lambda: decisions.cancel_lines(
            order, packed, lines=[LineToCancel(Sku("A"), 3)], reason="x", reason_code=WHY
        )
    )
    assert (error.code, error.extra) == ("quantity_above_remaining", {"remaining": 2})


def test_with_the_last_piece_the_cancellation_is_asked_for() -> None:
    events = decisions.cancel_lines(
        here(CONFIRMED),
        NO_PARCELS,
        lines=[LineToCancel(Sku("A"), 5)],
        reason="x",
        reason_code=WHY,
    )
    assert events[1:] == (OrderCancellationRequested(ORDER_ID, "x", WHY),)


def test_a_revision_says_how_many_pieces_are_wanted_from_now_on() -> None:
    lines = [line(1, "A", 5), line(2, "B", 5)]
    order = here(CONFIRMED, lines=lines)
    events = decisions.revise(
        order,
        parcels(line2=2),
        lines=[LineToRevise(Sku("B"), 2), LineToRevise(Sku("A"), 1)],
        reason="fewer guests",
    )
    assert events == (
        OrderRevised(
            ORDER_ID, (RevisedLine(1, Sku("A"), 1), RevisedLine(2, Sku("B"), 2)), "fewer guests"
        ),
    )
    after = here(CONFIRMED, *events, lines=lines)
    assert [after.remaining(one) for one in lines] == [1, 2]
    assert after.owed_minor == 300


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], "no_lines"),
        ([LineToRevise(Sku("Z"), 1)], "unknown_line"),
        ([LineToRevise(Sku("A"), 0)], "quantity_out_of_range"),
        ([LineToRevise(Sku("A"), 5)], "quantity_not_reduced"),
        ([LineToRevise(Sku("A"), 6)], "quantity_not_reduced"),
        ([LineToRevise(Sku("A"), 1)], "quantity_below_parcels"),
        ([LineToRevise(Sku("A"), 3), LineToRevise(Sku("A"), 4)], "duplicate_line"),
        ([LineToRevise(Sku("B"), 1)], "ambiguous_sku"),
    ],
)
def test_a_bad_revision_is_refused(lines: list[LineToRevise], code: str) -> None:
    order = here(lines=[line(1, "A"), line(2, "B"), line(3, "B", price=200)])
    error = refused(lambda: decisions.revise(order, parcels(line1=2), lines=lines, reason="x"))
    assert error.code == code


def test_the_address_changes_until_a_parcel_is_dispatched() -> None:
    [event] = decisions.change_address(here(CONFIRMED), parcels(line1=1), personal=ELSEWHERE)
    assert event == ShippingAddressChanged(
        ORDER_ID, PersonalData(shipping_address=ELSEWHERE.shipping_address)
    )
    dispatched = parcels(dispatched=True, line1=1)
    error = refused(
        lambda: decisions.change_address(here(CONFIRMED), dispatched, personal=ELSEWHERE)
    )
    assert (error.code, error.extra) == ("illegal_transition", {"order_status": "confirmed"})


@pytest.mark.parametrize(
    ("personal", "code"),
    [
        (PersonalData(), "no_address"),
        (PersonalData(shipping_address=Address("XX")), "unknown_country"),
    ],
)
def test_a_bad_address_is_refused(personal: PersonalData, code: str) -> None:
    error = refused(lambda: decisions.change_address(here(), NO_PARCELS, personal=personal))
    assert error.code == code


def test_less_is_owed_for_fewer_pieces_and_nothing_once_cancelled() -> None:
    order = here(lines=[line(1, "A", 5, 100)], shipping_minor=50, discount_minor=300)
    assert order.owed_minor == 250
    cancelled = OrderLinesCancelled(ORDER_ID, (CancelledLine(1, Sku("A"), 2),), "x", WHY)
    assert evolve(order, cancelled).owed_minor == 159
    assert evolve(evolve(order, cancelled), cancelled).owed_minor == 68
    assert evolve(order, REQUESTED).owed_minor == 0


def test_a_snapshot_gives_the_same_state() -> None:
    order = here(CONFIRMED, HELD, OrderRevised(ORDER_ID, (RevisedLine(1, Sku("A"), 1),), "x"))
    for state in (order, evolve(order, REQUESTED)):
        kept = msgspec.json.encode(state, enc_hook=dict)
        assert msgspec.json.decode(kept, type=Order) == state


class AnyOrder(RuleBasedStateMachine):
    """Commands in any order: no status is left that is an end, no piece comes or goes."""

    def __init__(self) -> None:
        super().__init__()
        self.order = here(lines=[line(1, "A", 3), line(2, "B", 2)])
        self.pieces = {1: 0, 2: 0}
        self.dispatched = False
        self.was_over: OrderStatus | None = None

    @property
    def parcels(self) -> Parcels:
        return Parcels(MappingProxyType(self.pieces), dispatched=self.dispatched)

    def decide(self, command: Callable[[], tuple[OrderEvent, ...]]) -> None:
        try:
            events = command()
        except DomainError:
            return
        for event in events:
            self.order = evolve(self.order, event)

    @rule(name=st.sampled_from(["confirm", "reject", "expire", "complete", "hold", "release_hold"]))
    def move_on(self, name: str) -> None:
        self.decide(lambda: COMMANDS[name](self.order))

    @rule(number=st.integers(1, 2), quantity=st.integers(1, 3))
    def pack(self, number: int, quantity: int) -> None:
        one = self.order.lines[number - 1]
        if self.order.remaining(one) - self.pieces[number] >= quantity:
            self.pieces[number] += quantity

    @rule()
    def dispatch(self) -> None:
        self.dispatched = self.dispatched or any(self.pieces.values())

    @rule()
    def request_cancellation(self) -> None:
        dispatched = self.dispatched
        before = self.order.status
        self.decide(
            lambda: decisions.request_cancellation(
                self.order, self.parcels, reason="x", reason_code=WHY
            )
        )
        assert not dispatched or self.order.status is before

    @rule()
    def finish_cancellation(self) -> None:
        self.decide(lambda: decisions.finish_cancellation(self.order))

    @rule(sku=st.sampled_from("AB"), quantity=st.integers(1, 3))
    def cancel_lines(self, sku: str, quantity: int) -> None:
        lines = [LineToCancel(Sku(sku), quantity)]
        self.decide(
            lambda: decisions.cancel_lines(
                self.order, self.parcels, lines=lines, reason="x", reason_code=WHY
            )
        )

    @rule(sku=st.sampled_from("AB"), quantity=st.integers(1, 3))
    def revise(self, sku: str, quantity: int) -> None:
        lines = [LineToRevise(Sku(sku), quantity)]
        self.decide(lambda: decisions.revise(self.order, self.parcels, lines=lines, reason="x"))

    @invariant()
    def packed_pieces_stay_wanted(self) -> None:
        for one in self.order.lines:
            assert self.pieces[one.line_number] <= self.order.remaining(one) <= one.quantity

    @invariant()
    def an_end_is_an_end(self) -> None:
        assert self.was_over in (None, self.order.status)
        if self.order.status in set(ENDS) - {OrderStatus.CANCEL_PENDING}:
            self.was_over = self.order.status

    @invariant()
    def without_a_wanted_piece_it_is_over(self) -> None:
        if not any(self.order.remaining(one) for one in self.order.lines):
            assert self.order.status in (OrderStatus.CANCEL_PENDING, OrderStatus.CANCELLED)


TestAnyOrder = AnyOrder.TestCase
