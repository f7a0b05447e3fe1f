"""What becomes of an order's pieces before they leave: theirs for good, or for sale again."""

from collections.abc import Callable, Mapping

import pytest

from domain.ids import Sku, allocation_stream, stock_stream
from domain.inventory import allocation as allocations
from domain.inventory.allocation import AllocationStatus
from domain.inventory.decisions import NOTHING, Changes
from domain.inventory.events import (
    AllocationCommitted,
    AllocationReleased,
    StockCommitted,
    StockReservationExpired,
    StockReservationReleased,
)
from domain.inventory.location import MAIN
from tests.domain.inventory.stock import (
    LATER,
    ORDER,
    Warehouse,
    at,
    of_allocation,
    packed,
    wanted,
    warehouse,
)

STOCK, ALLOCATION = stock_stream(MAIN, Sku("A")), allocation_stream(ORDER)


@pytest.fixture
def stock() -> Warehouse:
    """Give five pieces, three of them reserved."""
    one = warehouse(A=5)
    one.reserve(wanted(quantity=3))
    return one


def test_a_commit_makes_what_is_reserved_the_orders_for_good(stock: Warehouse) -> None:
    assert stock.commit() == {
        STOCK: (StockCommitted(Sku("A"), MAIN, ORDER, 1, 3),),
        ALLOCATION: (AllocationCommitted(ORDER),),
    }
    item = stock.items["main", "A"]
    assert (item.on_hand, item.reserved, item.committed, item.available) == (5, 0, 3, 2)


def test_a_reservation_that_expires_is_for_sale_again(stock: Warehouse) -> None:
    assert stock.expire() == {
        STOCK: (StockReservationExpired(Sku("A"), MAIN, ORDER, 1, 3),),
        ALLOCATION: (AllocationReleased(ORDER, (at("main", 3),), expired=True),),
    }
    assert stock.items["main", "A"].available == 5


@pytest.mark.parametrize("committed", [False, True])
def test_what_is_released_is_for_sale_again(stock: Warehouse, committed: bool) -> None:  # noqa: FBT001
    if committed:
        stock.commit()
    assert stock.release() == {
        STOCK: (StockReservationReleased(Sku("A"), MAIN, ORDER, 1, 3),),
        ALLOCATION: (AllocationReleased(ORDER, (at("main", 3),)),),
    }
    assert stock.items["main", "A"].available == 5


def test_a_hold_that_ended_leaves_the_state_of_the_item(stock: Warehouse) -> None:
    stock.release()
    item = stock.items["main", "A"]
    assert (item.holds, item.reserved, item.committed) == ({}, 0, 0)


COMMANDS: dict[str, Callable[[Warehouse], Changes]] = {
    "commit": Warehouse.commit,
    "expire": Warehouse.expire,
    "release": Warehouse.release,
}


@pytest.mark.parametrize("first", ["release", "expire"])
@pytest.mark.parametrize("second", COMMANDS)
def test_a_reservation_ends_once(stock: Warehouse, first: str, second: str) -> None:
    COMMANDS[first](stock)
    assert COMMANDS[second](stock) == NOTHING


@pytest.mark.parametrize("second", ["commit", "expire"])
def test_what_is_committed_neither_expires_nor_is_committed_again(
    stock: Warehouse, second: str
) -> None:
    stock.commit()
    assert COMMANDS[second](stock) == NOTHING


@pytest.mark.parametrize("command", COMMANDS)
def test_an_order_that_fell_short_has_nothing_to_commit_or_release(command: str) -> None:
    stock = warehouse(A=1)
    stock.reserve(wanted(quantity=2))
    assert COMMANDS[command](stock) == NOTHING


def test_a_release_that_overtakes_the_reservation_prevents_it() -> None:
    stock = warehouse(A=5)
    assert stock.release() == {ALLOCATION: (AllocationReleased(ORDER, ()),)}
    assert stock.reserve(wanted(quantity=3)) == NOTHING
    assert stock.release() == NOTHING


def test_what_has_left_is_not_released(stock: Warehouse) -> None:
    stock.commit()
    stock.ship(packed(quantity=2))
    assert of_allocation(stock.release()) == AllocationReleased(ORDER, (at("main", 1),))
    assert stock.items["main", "A"].available == 3
    assert stock.release() == NOTHING


@pytest.mark.parametrize("committed", [False, True])
def test_pieces_of_cancelled_lines_are_released_and_the_rest_stays(committed: bool) -> None:  # noqa: FBT001
    stock = warehouse(A=5, B=5)
    stock.reserve(wanted(1, "A", 3), wanted(2, "B", 2))
    if committed:
        stock.commit()
    event = of_allocation(stock.release_unwanted({1: 1, 2: 2}))
    assert event == AllocationReleased(ORDER, (at("main", 2),))
    assert [stock.items["main", sku].available for sku in "AB"] == [4, 3]


def test_what_is_left_of_a_reservation_can_be_committed(stock: Warehouse) -> None:
    stock.release_unwanted({1: 1})
    stock.commit()
    assert stock.items["main", "A"].committed == 1


@pytest.mark.parametrize("still", [{1: 3}, {1: 4}])
def test_nothing_is_released_while_all_that_is_held_is_wanted(
    stock: Warehouse, still: Mapping[int, int]
) -> None:
    assert stock.release_unwanted(dict(still)) == NOTHING


def test_pieces_are_released_once_however_often_it_is_asked(stock: Warehouse) -> None:
    stock.release_unwanted({1: 2})
    assert stock.release_unwanted({1: 2}) == NOTHING


def test_what_has_left_is_not_let_go_of_with_canceled_pieces(stock: Warehouse) -> None:
    stock.commit()
    stock.ship(packed(quantity=1))
    event = of_allocation(stock.release_unwanted({1: 1}))
    assert event == AllocationReleased(ORDER, (at("main", 1),))
    assert of_allocation(stock.release_unwanted({})) == AllocationReleased(ORDER, (at("main", 1),))


def test_with_its_last_piece_an_allocation_is_released(stock: Warehouse) -> None:
    stock.release_unwanted({1: 0})
    assert stock.allocations[ORDER].status is AllocationStatus.RELEASED
    assert stock.commit() == NOTHING


def test_of_a_split_line_those_pieces_go_first_that_were_found_last() -> None:
    stock = Warehouse()
    stock.shelf("east", on_hand=3)
    stock.shelf("west", on_hand=2)
    stock.reserve(wanted(quantity=5))
    event = of_allocation(stock.release_unwanted({1: 2}))
    assert event == AllocationReleased(ORDER, (at("west", 2), at("east", 1)))


def test_a_released_piece_goes_to_the_oldest_backorder() -> None:
    stock = Warehouse()
    stock.shelf(on_hand=2, allow_backorder=True)
    stock.reserve(wanted(quantity=2))
    stock.reserve(wanted(quantity=1), order_id=LATER)
    assert stock.items["main", "A"].ready(LATER, 1) == 0
    stock.release()
    assert stock.items["main", "A"].ready(LATER, 1) == 1


def test_an_allocation_that_was_never_reserved_can_not_be_committed() -> None:
    with pytest.raises(AssertionError):
        allocations.evolve(None, AllocationCommitted(ORDER))


def test_pieces_that_an_order_never_had_can_not_be_released(stock: Warehouse) -> None:
    for line in (at("main", 4), at("east", 1), at("main", 1, 2)):
        with pytest.raises(AssertionError):
            allocations.evolve(stock.allocations[ORDER], AllocationReleased(ORDER, (line,)))
