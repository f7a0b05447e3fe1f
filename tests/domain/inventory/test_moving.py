"""What leaves the shelves with an order's parcels, and what its returns bring back to them."""

import pytest

from domain.ids import Sku, allocation_stream, stock_stream
from domain.inventory.decisions import NOTHING
from domain.inventory.events import (
    AllocationRestocked,
    AllocationShipped,
    StockRestocked,
    StockShipped,
)
from domain.inventory.location import MAIN
from tests.domain.inventory.stock import (
    LATER,
    ORDER,
    PARCEL,
    SECOND_PARCEL,
    Warehouse,
    at,
    came_back,
    of_allocation,
    packed,
    wanted,
    warehouse,
)
from tests.domain.orders import refused

STOCK, ALLOCATION = stock_stream(MAIN, Sku("A")), allocation_stream(ORDER)


def committed(on_hand: int = 5, quantity: int = 3) -> Warehouse:
    stock = warehouse(A=on_hand)
    stock.reserve(wanted(quantity=quantity))
    stock.commit()
    return stock


def split() -> Warehouse:
    """Give an order with three pieces in the east and two in the west."""
    stock = Warehouse()
    stock.shelf("east", on_hand=3)
    stock.shelf("west", on_hand=2)
    stock.reserve(wanted(quantity=5))
    stock.commit()
    return stock


def test_what_leaves_with_a_parcel_is_no_longer_there_nor_promised() -> None:
    stock = committed()
    assert stock.ship(packed(quantity=2)) == {
        STOCK: (StockShipped(Sku("A"), MAIN, ORDER, 1, 2),),
        ALLOCATION: (AllocationShipped(ORDER, PARCEL, (at("main", 2),)),),
    }
    item = stock.items["main", "A"]
    assert (item.on_hand, item.committed, item.available) == (3, 1, 2)


def test_a_hold_leaves_the_state_of_the_item_with_its_last_piece() -> None:
    stock = committed()
    stock.ship(packed(quantity=3))
    assert stock.items["main", "A"].holds == {}


def test_a_parcel_leaves_once() -> None:
    stock = committed()
    stock.ship(packed(quantity=1))
    assert stock.ship(packed(quantity=1)) == NOTHING
    assert stock.ship(packed(quantity=1), parcel=SECOND_PARCEL) != NOTHING


def test_lines_of_a_parcel_that_name_a_line_twice_are_added_up() -> None:
    stock = committed()
    error = refused(lambda: stock.ship(packed(quantity=2), packed(quantity=2)))
    assert error.code == "quantity_above_allocated"
    event = of_allocation(stock.ship(packed(quantity=2), packed(quantity=1)))
    assert event == AllocationShipped(ORDER, PARCEL, (at("main", 3),))


@pytest.mark.parametrize("status", ["reserved", "rejected", "released"])
def test_nothing_leaves_that_is_not_committed(status: str) -> None:
    stock = warehouse(A=0 if status == "rejected" else 5)
    stock.reserve(wanted(quantity=3))
    if status == "released":
        stock.release()
    error = refused(lambda: stock.ship(packed(quantity=1)))
    assert (error.code, error.extra) == ("illegal_transition", {"allocation_status": status})


def test_no_more_leaves_than_was_allocated() -> None:
    error = refused(lambda: committed().ship(packed(quantity=4)))
    assert error.code == "quantity_above_allocated"
    assert error.extra == {"line_number": 1, "allocated": 3}


def test_a_line_that_was_never_allocated_does_not_leave() -> None:
    error = refused(lambda: committed().ship(packed(2)))
    assert error.code == "quantity_above_allocated"


def test_a_parcel_takes_pieces_from_the_first_location_on() -> None:
    stock = split()
    first = of_allocation(stock.ship(packed(quantity=4)))
    assert first == AllocationShipped(ORDER, PARCEL, (at("east", 3), at("west", 1)))
    second = of_allocation(stock.ship(packed(quantity=1), parcel=SECOND_PARCEL))
    assert second == AllocationShipped(ORDER, SECOND_PARCEL, (at("west", 1),))


def backordered() -> Warehouse:
    """Give three pieces of which one is there, behind a piece of an order that was earlier."""
    stock = Warehouse()
    stock.shelf(on_hand=2, allow_backorder=True)
    stock.reserve(wanted(quantity=1), order_id=LATER)
    stock.reserve(wanted(quantity=3))
    stock.commit(LATER)
    stock.commit()
    return stock


def test_a_backordered_piece_does_not_leave_before_it_was_received() -> None:
    stock = backordered()
    error = refused(lambda: stock.ship(packed(quantity=2)))
    assert (error.code, error.extra) == ("stock_not_received", {"line_number": 1, "ready": 1})
    stock.receive(1)
    stock.ship(packed(quantity=2))


def test_the_pieces_of_who_reserved_before_are_not_taken_for_a_backorder() -> None:
    stock = backordered()
    stock.ship(packed(quantity=1))
    assert stock.items["main", "A"].on_hand == 1
    error = refused(lambda: stock.ship(packed(quantity=1), parcel=SECOND_PARCEL))
    assert error.code == "stock_not_received"
    stock.ship(packed(quantity=1), order_id=LATER)


def test_lines_of_an_order_keep_their_turn_when_a_part_of_them_leaves() -> None:
    stock = Warehouse()
    stock.shelf(on_hand=2, allow_backorder=True)
    stock.reserve(wanted(1, quantity=2), wanted(2, quantity=2))
    stock.commit()
    stock.ship(packed(1, quantity=1))
    assert [stock.items["main", "A"].ready(ORDER, number) for number in (1, 2)] == [1, 0]


def test_pieces_that_are_there_leave_before_those_that_were_found_first() -> None:
    stock = Warehouse()
    stock.shelf("east", on_hand=3, allow_backorder=True)
    stock.shelf("west", on_hand=2)
    stock.reserve(wanted(quantity=5))
    stock.commit()
    stock.adjust(-3, "east")
    event = of_allocation(stock.ship(packed(quantity=2)))
    assert event == AllocationShipped(ORDER, PARCEL, (at("west", 2),))


def test_pieces_that_came_back_to_the_sender_leave_no_shelf_again() -> None:
    stock = committed()
    stock.ship(packed(quantity=3))
    event = of_allocation(stock.ship(packed(quantity=3), parcel=SECOND_PARCEL))
    assert event == AllocationShipped(ORDER, SECOND_PARCEL, ())
    assert stock.items["main", "A"].on_hand == 2


def test_they_may_leave_again_when_the_rest_of_the_order_was_given_up() -> None:
    stock = committed()
    stock.ship(packed(quantity=2))
    stock.release()
    assert stock.ship(packed(quantity=2), parcel=SECOND_PARCEL) != NOTHING


def test_returned_pieces_are_for_sale_where_they_had_left_from() -> None:
    stock = split()
    stock.ship(packed(quantity=5))
    assert stock.restock(came_back(restock=4)) == {
        stock_stream("east", Sku("A")): (
            StockRestocked(Sku("A"), at("east", 0).location, ORDER, 1, 3),
        ),
        stock_stream("west", Sku("A")): (
            StockRestocked(Sku("A"), at("west", 0).location, ORDER, 1, 1),
        ),
        ALLOCATION: (AllocationRestocked(ORDER, "r/1", (at("east", 3), at("west", 1))),),
    }
    assert [stock.items[place, "A"].available for place in ("east", "west")] == [3, 1]


def test_a_receipt_is_restocked_once_and_another_adds_to_it() -> None:
    stock = committed()
    stock.ship(packed(quantity=3))
    stock.restock(came_back(restock=1), subject="r/1")
    assert stock.restock(came_back(restock=1), subject="r/1") == NOTHING
    stock.restock(came_back(restock=2), subject="r/2")
    assert stock.items["main", "A"].available == 5


def test_a_receipt_without_anything_to_sell_again_is_answered() -> None:
    stock = committed()
    stock.ship(packed(quantity=3))
    changes = stock.restock(came_back(restock=0))
    assert changes == {ALLOCATION: (AllocationRestocked(ORDER, "r/1", ()),)}


def test_no_more_comes_back_than_has_left() -> None:
    stock = committed()
    stock.ship(packed(quantity=2))
    stock.restock(came_back(restock=1), subject="r/1")
    error = refused(lambda: stock.restock(came_back(restock=2), subject="r/2"))
    assert error.code == "quantity_above_shipped"
