"""What is owed for a part of an order: its share of the total, tax and discount included."""

from dataclasses import dataclass

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st

from domain.order.events import CancelledLine, OrderLinesCancelled, OrderRevised, RevisedLine
from domain.order.state import Order, evolve
from domain.payment.shares import capture_minor, due_minor, refund_minor, value_minor
from tests.domain.orders import ORDER_ID, WHY, here, line


@dataclass(frozen=True)
class Deal:
    """Attributes: lines: quantity, price, and how many are canceled, of each."""

    lines: list[tuple[int, int, int]]
    shipping: int
    tax: int
    discount: int

    def placed(self) -> Order:
        lines = [line(n, f"S{n}", one[0], one[1]) for n, one in enumerate(self.lines, 1)]
        gross = sum(one[0] * one[1] for one in self.lines) + self.shipping + self.tax
        return here(
            lines=lines,
            shipping_minor=self.shipping,
            tax_minor=self.tax,
            discount_minor=min(self.discount, gross),
        )

    def changed(self, order: Order) -> Order:
        for placed, (_, _, canceled) in zip(order.lines, self.lines, strict=True):
            if canceled:
                order = canceled_of(order, canceled, number=placed.line_number)
        return order


AMOUNT = st.integers(0, 5_000)
LINES = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 999), st.integers(0, 8)).map(
        lambda one: (one[0], one[1], min(one[2], one[0] - 1))
    ),
    min_size=1,
    max_size=4,
)
DEALS = st.builds(Deal, LINES, AMOUNT, AMOUNT, AMOUNT)


def canceled_of(order: Order, quantity: int, number: int = 1) -> Order:
    sku = order.lines[number - 1].sku
    lines = (CancelledLine(number, sku, quantity),)
    return evolve(order, OrderLinesCancelled(ORDER_ID, lines, "x", WHY))


def value(order: Order) -> int:
    """Give the price of the pieces that are still wanted."""
    return value_minor(order.lines, {one.line_number: order.remaining(one) for one in order.lines})


@pytest.mark.parametrize(
    ("changes", "canceled", "owed"),
    [
        ({"discount_minor": 5_000}, 5, 2_500),
        ({"discount_minor": 5_000}, 9, 500),
        ({"tax_minor": 2_000}, 9, 1_200),
        ({"shipping_minor": 500}, 9, 1_500),
        ({"shipping_minor": 2_000, "discount_minor": 6_000}, 5, 3_500),
        ({"discount_minor": 10_000}, 5, 0),
        ({"discount_minor": 1}, 5, 4_999),
        ({"lines": [line(quantity=10, price=0)]}, 5, 0),
        ({"lines": [line(quantity=10, price=0)], "tax_minor": 7}, 5, 7),
        ({"lines": [line(quantity=10, price=0)], "shipping_minor": 500}, 5, 500),
    ],
)
def test_of_ten_pieces_at_1000_some_are_canceled(
    changes: dict[str, object], canceled: int, owed: int
) -> None:
    order = here(**{"lines": [line(quantity=10, price=1_000)], **changes})
    assert order.owed_minor == order.total_minor
    assert canceled_of(order, canceled).owed_minor == owed


def test_a_revision_lowers_what_is_owed_as_a_cancellation_does() -> None:
    order = here(lines=[line(quantity=10, price=1_000)], discount_minor=5_000)
    revised = OrderRevised(ORDER_ID, (RevisedLine(1, order.lines[0].sku, 5),), "x")
    assert evolve(order, revised).owed_minor == 2_500


@for_any(deal=DEALS)
def test_what_is_owed_is_a_share_of_the_total_and_all_of_it_while_all_is_wanted(deal: Deal) -> None:
    placed = deal.placed()
    order = deal.changed(placed)
    assert placed.owed_minor == placed.total_minor
    assert 0 <= order.owed_minor <= placed.total_minor
    if deal.tax == deal.discount:
        assert order.owed_minor == value(order) + deal.shipping or value(placed) == 0
    # Pieces that nobody cancels cost what they did before, but for less than a cent.
    exact, whole = value(order) + deal.shipping, value(placed) + deal.shipping
    assert 0 <= placed.total_minor * exact - order.owed_minor * whole < max(1, whole)


@for_any(deal=DEALS, first=st.integers(0, 100), receipts=st.lists(st.integers(1, 100), max_size=4))
def test_with_cancellations_between_nothing_is_taken_or_given_back_beyond_what_is_owed(
    deal: Deal, first: int, receipts: list[int]
) -> None:
    """A part leaves, the rest of the wanted pieces after a cancellation; all of it comes back."""
    placed = deal.placed()
    order = deal.changed(placed)
    wanted = value(order)
    parts = [(placed, wanted * first // 100), (order, wanted)]
    taken: list[int] = []
    for then, shipped in parts:
        taken.append(
            capture_minor(
                owed_minor=then.owed_minor,
                authorized_minor=placed.total_minor,
                wanted_value_minor=value(then),
                shipped_value_minor=shipped,
                claimed_minor=sum(taken),
            )
        )
    assert sum(taken) == order.owed_minor or (
        value(placed) == 0 and sum(taken) <= order.total_minor
    )
    given: list[int] = []
    for returned in (*(wanted * part // 100 for part in sorted(receipts)), wanted):
        due = due_minor(
            owed_minor=order.owed_minor,
            authorized_minor=placed.total_minor,
            wanted_value_minor=wanted,
            shipped_value_minor=wanted,
        )
        given.append(
            refund_minor(
                due_minor=due,
                wanted_value_minor=wanted,
                shipping_minor=deal.shipping,
                shipped_value_minor=wanted,
                returned_value_minor=returned,
                claimed_minor=sum(given),
            )
        )
    goods = order.owed_minor * wanted // (wanted + deal.shipping) if wanted else 0
    assert sum(given) == goods
    assert sum(given) <= sum(taken)


@for_any(deal=DEALS, part=st.integers(0, 100))
def test_what_came_back_before_a_cancellation_is_worth_the_same_after_it(
    deal: Deal, part: int
) -> None:
    placed = deal.placed()
    order = deal.changed(placed)
    shipped = value(order)
    before, after = (
        refund_minor(
            due_minor=due_minor(
                owed_minor=then.owed_minor,
                authorized_minor=placed.total_minor,
                wanted_value_minor=value(then),
                shipped_value_minor=shipped,
            ),
            wanted_value_minor=value(then),
            shipping_minor=deal.shipping,
            shipped_value_minor=shipped,
            returned_value_minor=shipped * part // 100,
            claimed_minor=0,
        )
        for then in (placed, order)
    )
    assert abs(before - after) <= 1  # each is rounded down
