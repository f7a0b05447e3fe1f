"""Shares of money are exact: whatever the parcels and receipts, they add up to the cent."""

from itertools import accumulate

from hypothesis import given as for_any
from hypothesis import strategies as st

from domain.ids import Sku
from domain.order.events import OrderLine
from domain.payment.shares import capture_minor, refund_minor, value_minor

VALUES = st.lists(st.integers(0, 10_000), min_size=1, max_size=8)
AMOUNT = st.integers(0, 100_000)


def captures(owed: int, authorized: int, parcels: list[int]) -> list[int]:
    """Give the captures of parcels of these values, which together are all that is wanted."""
    taken: list[int] = []
    for shipped in accumulate(parcels):
        taken.append(
            capture_minor(
                owed_minor=owed,
                authorized_minor=authorized,
                wanted_value_minor=sum(parcels),
                shipped_value_minor=shipped,
                claimed_minor=sum(taken),
            )
        )
    return taken


def refunds(captured: int, shipping: int, receipts: list[int]) -> list[int]:
    """Give the refunds of receipts of these values, which together are all that was shipped."""
    given: list[int] = []
    for returned in accumulate(receipts):
        given.append(
            refund_minor(
                due_minor=captured,
                wanted_value_minor=sum(receipts),
                shipping_minor=shipping,
                shipped_value_minor=sum(receipts),
                returned_value_minor=returned,
                claimed_minor=sum(given),
            )
        )
    return given


def test_the_value_of_pieces_is_their_price() -> None:
    lines = [OrderLine(1, Sku("A"), "A", 5, 250), OrderLine(2, Sku("B"), "B", 1, 99)]
    assert value_minor(lines, {1: 2, 2: 1}) == 599
    assert value_minor(lines, {}) == 0


def test_three_equal_parcels_of_a_hundred_are_33_33_and_34() -> None:
    assert captures(100, 100, [10, 10, 10]) == [33, 33, 34]


def test_shipping_costs_are_taken_with_the_parcels_in_proportion() -> None:
    assert captures(1_100, 1_100, [250, 750]) == [275, 825]


def test_an_order_of_free_goods_is_paid_with_the_first_parcel() -> None:
    assert captures(500, 500, [0, 0]) == [500, 0]


def test_lines_cancelled_between_parcels_lower_the_last_capture() -> None:
    first = capture_minor(
        owed_minor=1_000,
        authorized_minor=1_000,
        wanted_value_minor=900,
        shipped_value_minor=300,
        claimed_minor=0,
    )
    last = capture_minor(
        owed_minor=700,
        authorized_minor=1_000,
        wanted_value_minor=600,
        shipped_value_minor=600,
        claimed_minor=first,
    )
    assert (first, last) == (333, 367)


def test_a_parcel_whose_share_was_claimed_before_is_captured_with_nothing() -> None:
    nothing = capture_minor(
        owed_minor=300,
        authorized_minor=1_000,
        wanted_value_minor=500,
        shipped_value_minor=500,
        claimed_minor=400,
    )
    assert nothing == 0


@for_any(owed=AMOUNT, authorized=AMOUNT, parcels=VALUES)
def test_captures_add_up_to_what_is_owed_and_never_above(
    owed: int, authorized: int, parcels: list[int]
) -> None:
    taken = captures(owed, authorized, parcels)
    due = min(owed, authorized)
    assert sum(taken) == due
    assert all(amount >= 0 for amount in taken)
    for captured, shipped in zip(accumulate(taken), accumulate(parcels), strict=True):
        assert captured * sum(parcels) <= due * shipped or shipped == sum(parcels)


def test_goods_are_refunded_without_shipping() -> None:
    assert refunds(1_100, 100, [250, 750]) == [250, 750]


def test_a_discount_is_shared_by_goods_and_shipping() -> None:
    assert refunds(550, 100, [500, 500]) == [250, 250]


def test_half_of_what_was_shipped_so_far_is_half_of_what_was_captured_for_it() -> None:
    half = refund_minor(
        due_minor=500,
        wanted_value_minor=1_000,
        shipping_minor=0,
        shipped_value_minor=500,
        returned_value_minor=250,
        claimed_minor=0,
    )
    assert half == 250


@for_any(captured=AMOUNT, shipping=AMOUNT, receipts=VALUES)
def test_refunds_add_up_to_the_goods_part_and_never_above_what_was_captured(
    captured: int, shipping: int, receipts: list[int]
) -> None:
    given = refunds(captured, shipping, receipts)
    value = sum(receipts)
    assert sum(given) == (captured * value // (value + shipping) if value else 0)
    assert sum(given) <= captured
    assert all(amount >= 0 for amount in given)
