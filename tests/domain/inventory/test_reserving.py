"""What an order gets, and where: all of its lines, or nothing."""

from collections.abc import Callable

import pytest

from domain.ids import Sku, allocation_stream, stock_stream
from domain.inventory.allocation import AllocationStatus
from domain.inventory.decisions import NOTHING
from domain.inventory.events import (
    AllocatedLine,
    AllocationRejected,
    AllocationReleased,
    AllocationReserved,
    ShortLine,
    StockReserved,
)
from domain.inventory.location import MAIN
from tests.domain.inventory.stock import (
    LATER,
    ORDER,
    UNTIL,
    Warehouse,
    at,
    of_allocation,
    wanted,
    warehouse,
)


def got(stock: Warehouse, *lines: tuple[int, str, int]) -> tuple[AllocatedLine, ...]:
    """Reserve (line number, sku, quantity) and give what was held."""
    event = of_allocation(stock.reserve(*(wanted(*line) for line in lines)))
    assert isinstance(event, AllocationReserved)
    return event.lines


def fell_short(stock: Warehouse, *lines: tuple[int, str, int]) -> tuple[ShortLine, ...]:
    event = of_allocation(stock.reserve(*(wanted(*line) for line in lines)))
    assert isinstance(event, AllocationRejected)
    return event.short


def test_all_lines_are_reserved_in_one_append_in_the_order_of_skus() -> None:
    changes = warehouse(B=5, A=5).reserve(wanted(1, "B", 2), wanted(2, "A", 3))
    assert list(changes.items()) == [
        (
            stock_stream(MAIN, Sku("A")),
            (StockReserved(Sku("A"), MAIN, ORDER, 2, 3, backordered=0, expires_at=UNTIL),),
        ),
        (
            stock_stream(MAIN, Sku("B")),
            (StockReserved(Sku("B"), MAIN, ORDER, 1, 2, backordered=0, expires_at=UNTIL),),
        ),
        (
            allocation_stream(ORDER),
            (AllocationReserved(ORDER, (at("main", 2, 1, "B"), at("main", 3, 2, "A")), UNTIL),),
        ),
    ]


def test_reserved_pieces_are_not_for_sale() -> None:
    stock = warehouse(A=5)
    stock.reserve(wanted(quantity=2))
    item = stock.items["main", "A"]
    assert (item.on_hand, item.reserved, item.committed, item.available) == (5, 2, 0, 3)


def test_the_last_piece_may_be_reserved_and_then_no_more() -> None:
    stock = warehouse(A=2)
    stock.reserve(wanted(quantity=2))
    changes = stock.reserve(wanted(quantity=1), order_id=LATER)
    assert changes == {
        allocation_stream(LATER): (AllocationRejected(LATER, (ShortLine(1, Sku("A"), 1, 0),)),)
    }


def test_nothing_is_held_where_one_line_falls_short() -> None:
    stock = warehouse(A=5, B=1)
    assert fell_short(stock, (1, "A", 5), (2, "B", 2)) == (ShortLine(2, Sku("B"), 2, 1),)
    assert not any(item.promised for item in stock.items.values())


def test_a_sku_that_nobody_has_listed_falls_short() -> None:
    assert fell_short(Warehouse(), (1, "A", 1)) == (ShortLine(1, Sku("A"), 1, 0),)


def test_lines_of_the_same_sku_are_added_up() -> None:
    lines = (1, "A", 3), (2, "A", 3), (3, "A", 1)
    assert fell_short(warehouse(A=4), *lines) == (
        ShortLine(2, Sku("A"), 3, 1),
        ShortLine(3, Sku("A"), 1, 0),
    )
    stock = warehouse(A=7)
    assert len(got(stock, *lines)) == 3
    assert stock.items["main", "A"].reserved == 7


def test_pieces_of_all_locations_count_towards_what_was_short() -> None:
    stock = Warehouse()
    stock.shelf("east", on_hand=2)
    stock.shelf("west", on_hand=3)
    assert fell_short(stock, (1, "A", 6)) == (ShortLine(1, Sku("A"), 6, 5),)


def test_one_location_that_has_everything_is_preferred_to_those_with_more() -> None:
    stock = Warehouse()
    stock.shelf("east", "A", on_hand=9)
    stock.shelf("north", "A", on_hand=2)
    stock.shelf("north", "B", on_hand=1)
    stock.shelf("west", "B", on_hand=9)
    assert got(stock, (1, "A", 2), (2, "B", 1)) == (at("north", 2), at("north", 1, 2, "B"))


def test_a_location_has_everything_only_if_it_has_all_lines_of_a_sku_together() -> None:
    stock = Warehouse()
    for location, lamps, bulbs in (("east", 3, 9), ("west", 4, 1)):
        stock.shelf(location, "A", on_hand=lamps)
        stock.shelf(location, "B", on_hand=bulbs)
    lines = got(stock, (1, "A", 2), (2, "A", 2), (3, "B", 1))
    assert {line.location for line in lines} == {"west"}


def test_of_two_locations_that_have_everything_the_one_with_more_pieces_is_taken() -> None:
    stock = Warehouse()
    for location, pieces in (("east", 5), ("west", 6)):
        stock.shelf(location, "A", on_hand=pieces)
        stock.shelf(location, "B", on_hand=pieces)
    assert got(stock, (1, "A", 1), (2, "B", 1)) == (at("west", 1), at("west", 1, 2, "B"))


def test_equal_locations_are_taken_by_name() -> None:
    stock = Warehouse()
    for location in ("west", "east"):
        stock.shelf(location, on_hand=5)
    assert got(stock, (1, "A", 1)) == (at("east", 1),)


def test_a_line_is_split_where_no_location_has_enough_the_fullest_first() -> None:
    stock = Warehouse()
    for location, pieces in (("east", 2), ("north", 3), ("west", 2)):
        stock.shelf(location, on_hand=pieces)
    assert got(stock, (1, "A", 6)) == (at("north", 3), at("east", 2), at("west", 1))


def test_lines_of_the_same_sku_share_locations_without_taking_a_piece_twice() -> None:
    stock = Warehouse()
    stock.shelf("east", on_hand=2)
    stock.shelf("west", on_hand=3)
    assert got(stock, (1, "A", 2), (2, "A", 3)) == (
        at("west", 2),
        at("west", 1, 2),
        at("east", 2, 2),
    )


def test_the_order_in_which_items_and_lines_come_makes_no_difference() -> None:
    one, other = Warehouse(), Warehouse()
    for stock, locations in ((one, ("east", "west")), (other, ("west", "east"))):
        for location in locations:
            stock.shelf(location, on_hand=3)
    assert got(one, (1, "A", 2), (2, "A", 3)) == got(other, (2, "A", 3), (1, "A", 2))


def test_what_is_nowhere_is_backordered_where_that_is_allowed() -> None:
    stock = Warehouse()
    stock.shelf("east", on_hand=3)
    stock.shelf("west", on_hand=2, allow_backorder=True)
    assert got(stock, (1, "A", 9)) == (at("east", 3), at("west", 6, late=4))
    assert stock.items["west", "A"].available == -4


def test_no_piece_is_backordered_while_another_is_for_sale() -> None:
    stock = Warehouse()
    stock.shelf("east", on_hand=1)
    stock.shelf("west", allow_backorder=True)
    assert got(stock, (1, "A", 1)) == (at("east", 1),)


def test_backordered_pieces_are_owed_before_others_are_for_sale_again() -> None:
    stock = Warehouse()
    stock.shelf(allow_backorder=True)
    stock.reserve(wanted(quantity=3), order_id=LATER)
    stock.receive(1)
    assert got(stock, (1, "A", 2)) == (at("main", 2, late=2),)


ENDS: dict[str, Callable[[Warehouse], object]] = {
    "reserved": lambda _: None,
    "committed": Warehouse.commit,
    "released": Warehouse.release,
    "expired": Warehouse.expire,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_an_order_is_reserved_for_once_whatever_became_of_it(
    end: Callable[[Warehouse], object],
) -> None:
    stock = warehouse(A=5)
    stock.reserve(wanted(quantity=2))
    end(stock)
    assert stock.reserve(wanted(quantity=2)) == NOTHING


def test_an_order_that_fell_short_stays_rejected_when_more_is_received() -> None:
    stock = warehouse(A=1)
    fell_short(stock, (1, "A", 2))
    stock.receive(5)
    assert stock.reserve(wanted(quantity=2)) == NOTHING


def test_what_nobody_wants_any_more_is_not_reserved() -> None:
    assert got(warehouse(A=5, B=5), (1, "A", 0), (2, "B", 1)) == (at("main", 1, 2, "B"),)


def test_an_order_that_wants_nothing_any_more_is_released_at_once() -> None:
    stock = warehouse(A=5)
    event = of_allocation(stock.reserve(wanted(quantity=0)))
    assert event == AllocationReleased(ORDER, ())
    assert stock.allocations[ORDER].status is AllocationStatus.RELEASED


def test_a_line_that_comes_twice_is_a_crash() -> None:
    with pytest.raises(AssertionError):
        warehouse(A=5).reserve(wanted(1), wanted(1))
