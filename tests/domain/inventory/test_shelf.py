"""What people do with one stock item: list it, receive pieces, put a count right."""

from typing import Any

import pytest

from domain.ids import Sku
from domain.inventory import decisions
from domain.inventory.events import (
    AdjustReason,
    StockAdjusted,
    StockEvent,
    StockItemListed,
    StockReceived,
)
from domain.inventory.location import Location
from domain.inventory.state import StockItem, evolve
from domain.money import LARGEST_AMOUNT_MINOR, Currency
from domain.order.decisions import LARGEST_QUANTITY
from tests.domain.inventory.stock import LATER, Warehouse, wanted, warehouse
from tests.domain.orders import refused

MAIN, A = Location("main"), Sku("A")
LISTED = StockItemListed(A, MAIN, "Lamp", 250, Currency("GBP"), allow_backorder=False)


def list_item(item: StockItem | None, **changes: Any) -> tuple[StockEvent, ...]:
    wishes: dict[str, Any] = {
        "sku": A,
        "location": MAIN,
        "name": "Lamp",
        "unit_price_minor": 250,
        "currency": Currency("GBP"),
        "allow_backorder": False,
    }
    return decisions.list_item(item, **(wishes | changes))


def test_a_listed_item_has_no_pieces_yet() -> None:
    assert list_item(None) == (LISTED,)
    assert evolve(None, LISTED).available == 0


def test_an_item_is_listed_again_only_with_something_new() -> None:
    assert list_item(evolve(None, LISTED)) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Lantern"},
        {"unit_price_minor": 0},
        {"currency": Currency("EUR")},
        {"allow_backorder": True},
    ],
)
def test_listing_it_again_changes_its_face_and_none_of_its_pieces(change: dict[str, Any]) -> None:
    stock = warehouse(A=5)
    stock.reserve(wanted(quantity=2))
    before = stock.items["main", "A"]
    stock.add(list_item(before, **change))
    after = stock.items["main", "A"]
    assert [getattr(after, name) for name in change] == list(change.values())
    assert (after.on_hand, after.reserved, after.holds) == (5, 2, before.holds)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"currency": "XXX"}, "unknown_currency", "/currency"),
        ({"unit_price_minor": -1}, "amount_negative", "/unit_price_minor"),
        ({"unit_price_minor": LARGEST_AMOUNT_MINOR + 1}, "total_too_large", "/unit_price_minor"),
    ],
)
def test_a_bad_listing_is_refused(changes: dict[str, Any], code: str, field: str) -> None:
    error = refused(lambda: list_item(None, **changes))
    assert (error.code, error.field) == (code, field)


def test_received_pieces_are_for_sale() -> None:
    item = evolve(None, LISTED)
    events = decisions.receive(item, quantity=3)
    assert events == (StockReceived(A, MAIN, 3),)
    assert evolve(item, events[0]).available == 3


@pytest.mark.parametrize("quantity", [0, -1, LARGEST_QUANTITY + 1])
def test_no_pieces_less_than_none_and_too_many_are_not_received(quantity: int) -> None:
    error = refused(lambda: decisions.receive(evolve(None, LISTED), quantity=quantity))
    assert (error.code, error.field) == ("quantity_out_of_range", "/quantity")


def test_a_count_is_put_right_both_ways_and_says_why() -> None:
    stock = warehouse(A=5)
    events = decisions.adjust(
        stock.items["main", "A"], change=-2, reason_code=AdjustReason.DAMAGED, reason="wet"
    )
    assert events == (StockAdjusted(A, MAIN, -2, AdjustReason.DAMAGED, "wet"),)
    stock.add(events)
    stock.adjust(4)
    assert stock.items["main", "A"].available == 7


@pytest.mark.parametrize("change", [0, LARGEST_QUANTITY + 1, -LARGEST_QUANTITY - 1])
def test_a_change_of_nothing_or_too_much_is_refused(change: int) -> None:
    error = refused(lambda: warehouse(A=5).adjust(change))
    assert (error.code, error.field) == ("quantity_out_of_range", "/change")


@pytest.mark.parametrize("allow_backorder", [False, True])
def test_a_count_never_goes_below_zero(allow_backorder: bool) -> None:  # noqa: FBT001
    stock = Warehouse()
    stock.shelf(on_hand=5, allow_backorder=allow_backorder)
    error = refused(lambda: stock.adjust(-6))
    assert (error.code, error.extra) == ("stock_below_zero", {"on_hand": 5})
    stock.adjust(-5)


@pytest.mark.parametrize("committed", [False, True])
def test_a_count_never_goes_below_what_is_promised(committed: bool) -> None:  # noqa: FBT001
    stock = warehouse(A=5)
    stock.reserve(wanted(quantity=3))
    if committed:
        stock.commit()
    error = refused(lambda: stock.adjust(-3))
    assert (error.code, error.extra) == ("stock_below_promised", {"on_hand": 5, "promised": 3})
    stock.adjust(-2)
    assert stock.items["main", "A"].available == 0


def test_with_backorders_lost_pieces_are_owed_to_who_reserved_last() -> None:
    stock = Warehouse()
    stock.shelf(on_hand=5, allow_backorder=True)
    stock.reserve(wanted(quantity=3))
    stock.reserve(wanted(quantity=2), order_id=LATER)
    stock.adjust(-2)
    item = stock.items["main", "A"]
    assert item.available == -2
    assert [item.ready(order_id, 1) for order_id in item.holds] == [3, 0]


def test_backorders_that_end_stay_promised_and_no_more_are_taken() -> None:
    stock = Warehouse()
    stock.shelf(on_hand=1, allow_backorder=True)
    stock.reserve(wanted(quantity=3))
    stock.shelf(allow_backorder=False)
    stock.reserve(wanted(quantity=1), order_id=LATER)
    assert stock.items["main", "A"].available == -2
    stock.adjust(1)
    assert refused(lambda: stock.adjust(-1)).code == "stock_below_promised"


def test_a_stream_that_does_not_begin_with_a_listed_item_is_a_crash() -> None:
    with pytest.raises(AssertionError):
        evolve(None, StockReceived(A, MAIN, 1))
