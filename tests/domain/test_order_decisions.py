"""The rules of placing and cancelling an order that is not fulfilled here."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st

from domain.errors import DomainError
from domain.ids import Sku
from domain.money import LARGEST_AMOUNT_MINOR
from domain.order import decisions
from domain.order.decisions import LARGEST_QUANTITY, MOST_LINES, LineToCancel
from domain.order.events import (
    CancelledLine,
    OrderCancelled,
    OrderEvent,
    OrderLinesCancelled,
    OrderPersonalDataForgotten,
    OrderPlaced,
)
from domain.order.parcels import NO_PARCELS
from domain.order.state import OrderStatus, evolve
from domain.personal import Address, PersonalData
from tests.domain.orders import ORDER_ID, WHY, given, line, place, refused


def test_the_total_is_lines_and_shipping_and_tax_less_the_discount() -> None:
    [event] = place(
        lines=[line(1, "A", 2, 255), line(2, "B", 1, 1000)],
        shipping_minor=499,
        tax_minor=100,
        discount_minor=109,
    )
    assert isinstance(event, OrderPlaced)
    assert event.total_minor == 510 + 1000 + 499 + 100 - 109


def test_a_free_order_may_be_placed() -> None:
    [event] = place(lines=[line(price=0)])
    assert isinstance(event, OrderPlaced)
    assert event.total_minor == 0


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"currency": "XXX"}, "unknown_currency", "/currency"),
        ({"currency": "gbp"}, "unknown_currency", "/currency"),
        (
            {"personal": PersonalData(shipping_address=Address("XX"))},
            "unknown_country",
            "/shipping_address/country",
        ),
        ({"lines": []}, "no_lines", "/lines"),
        (
            {"lines": [line(n) for n in range(MOST_LINES + 1)]},
            "too_many_lines",
            "/lines",
        ),
        ({"lines": [line(quantity=0)]}, "quantity_out_of_range", "/lines/0/quantity"),
        ({"lines": [line(quantity=-1)]}, "quantity_out_of_range", "/lines/0/quantity"),
        (
            {"lines": [line(), line(2, quantity=LARGEST_QUANTITY + 1)]},
            "quantity_out_of_range",
            "/lines/1/quantity",
        ),
        ({"lines": [line(price=-1)]}, "amount_negative", "/lines/0/unit_price_minor"),
        ({"shipping_minor": -1}, "amount_negative", "/shipping_minor"),
        ({"tax_minor": -1}, "amount_negative", "/tax_minor"),
        ({"discount_minor": -1}, "amount_negative", "/discount_minor"),
        ({"discount_minor": 501}, "discount_above_total", "/discount_minor"),
        (
            {"lines": [line(quantity=2, price=LARGEST_AMOUNT_MINOR)]},
            "total_too_large",
            None,
        ),
        ({"tax_minor": LARGEST_AMOUNT_MINOR}, "total_too_large", None),
        ({"tax_minor": LARGEST_AMOUNT_MINOR + 1}, "total_too_large", "/tax_minor"),
    ],
)
def test_a_bad_order_is_refused(changes: dict[str, Any], code: str, field: str | None) -> None:
    error = refused(lambda: place(**changes))
    assert (error.code, error.field) == (code, field)


def test_a_pending_order_is_cancelled_whole() -> None:
    events = decisions.cancel(given(place()), reason="changed my mind", reason_code=WHY)
    assert events == (OrderCancelled(ORDER_ID, "changed my mind", WHY),)


def test_a_cancelled_order_is_not_cancelled_again() -> None:
    order = given([*place(), OrderCancelled(ORDER_ID, "x", WHY)])
    for decide in (
        lambda: decisions.cancel(order, reason="y", reason_code=WHY),
        lambda: decisions.cancel_lines(
            order, NO_PARCELS, lines=[LineToCancel(Sku("A"), 1)], reason="y", reason_code=WHY
        ),
    ):
        error = refused(decide)
        assert error.code == "illegal_transition"
        assert error.extra == {"order_status": "cancelled"}


def test_pieces_are_cancelled_by_line() -> None:
    order = given(place(lines=[line(1, "A"), line(2, "B")]))
    events = decisions.cancel_lines(
        order, NO_PARCELS, lines=[LineToCancel(Sku("B"), 2)], reason="damaged", reason_code=WHY
    )
    assert events == (
        OrderLinesCancelled(ORDER_ID, (CancelledLine(2, Sku("B"), 2),), "damaged", WHY),
    )


def test_with_the_last_piece_the_order_is_cancelled() -> None:
    first = place(lines=[line(1, "A", 2)])
    one = decisions.cancel_lines(
        given(first), NO_PARCELS, lines=[LineToCancel(Sku("A"), 1)], reason="x", reason_code=WHY
    )
    two = decisions.cancel_lines(
        given([*first, *one]),
        NO_PARCELS,
        lines=[LineToCancel(Sku("A"), 1)],
        reason="x",
        reason_code=WHY,
    )
    assert [type(event) for event in two] == [OrderLinesCancelled, OrderCancelled]


@pytest.mark.parametrize("later", [(), (OrderCancelled(ORDER_ID, "x", WHY),)])
def test_an_order_is_forgotten_once_whatever_its_status(later: tuple[OrderEvent, ...]) -> None:
    before = [*place(), *later]
    events = decisions.forget_personal_data(given(before))
    assert events == (OrderPersonalDataForgotten(ORDER_ID),)
    assert decisions.forget_personal_data(given([*before, *events])) == ()


def test_a_forgotten_order_can_still_be_cancelled() -> None:
    order = given([*place(), OrderPersonalDataForgotten(ORDER_ID)])
    events = decisions.cancel(order, reason="x", reason_code=WHY)
    assert events == (OrderCancelled(ORDER_ID, "x", WHY),)


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], "no_lines"),
        ([LineToCancel(Sku("Z"), 1)], "unknown_line"),
        ([LineToCancel(Sku("A"), 1, line_number=2)], "unknown_line"),
        ([LineToCancel(Sku("A"), 0)], "quantity_out_of_range"),
        ([LineToCancel(Sku("A"), 6)], "quantity_above_remaining"),
        ([LineToCancel(Sku("A"), 3), LineToCancel(Sku("A"), 3)], "quantity_above_remaining"),
        ([LineToCancel(Sku("B"), 1)], "ambiguous_sku"),
    ],
)
def test_a_bad_cancellation_is_refused(lines: Sequence[LineToCancel], code: str) -> None:
    order = given(place(lines=[line(1, "A"), line(2, "B"), line(3, "B", price=200)]))
    assert (
        refused(
            lambda: decisions.cancel_lines(
                order, NO_PARCELS, lines=lines, reason="x", reason_code=WHY
            )
        ).code
        == code
    )


def test_a_line_number_tells_two_lines_of_one_sku_apart() -> None:
    order = given(place(lines=[line(1, "B"), line(2, "B", price=200)]))
    [event] = decisions.cancel_lines(
        order,
        NO_PARCELS,
        lines=[LineToCancel(Sku("B"), 1, line_number=2)],
        reason="x",
        reason_code=WHY,
    )
    assert event == OrderLinesCancelled(ORDER_ID, (CancelledLine(2, Sku("B"), 1),), "x", WHY)


@for_any(
    quantities=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    requests=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), max_size=12),
)
def test_pieces_are_conserved_whatever_is_cancelled(
    quantities: list[int], requests: list[tuple[int, int]]
) -> None:
    lines = [line(n, f"S{n}", quantity) for n, quantity in enumerate(quantities, 1)]
    events: list[OrderEvent] = list(place(lines=lines))
    cancelled = 0
    for number, quantity in requests:
        order = given(events)
        wish = [LineToCancel(Sku(f"S{number}"), quantity)]
        try:
            events += decisions.cancel_lines(
                order, NO_PARCELS, lines=wish, reason="x", reason_code=WHY
            )
        except DomainError:
            continue
        cancelled += quantity
    order = given(events)
    assert sum(order.remaining(one) for one in lines) == sum(quantities) - cancelled
    assert all(order.remaining(one) >= 0 for one in lines)
    assert (order.status is OrderStatus.CANCELLED) == (cancelled == sum(quantities))


def test_a_stream_that_does_not_begin_with_a_placed_order_is_a_crash() -> None:
    with pytest.raises(AssertionError):
        evolve(None, OrderCancelled(ORDER_ID, "x", WHY))
