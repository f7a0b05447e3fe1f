"""Pieces are conserved, whatever is decided in whatever order, twice, late, or all at once."""

from collections import Counter
from typing import TypeVar
from uuid import UUID

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domain.errors import DomainError
from domain.ids import OrderId, ShipmentId
from domain.inventory.allocation import Allocation, AllocationStatus
from domain.inventory.decisions import NOTHING, WantedLine
from domain.inventory.state import StockItem
from tests.domain.inventory.stock import Warehouse, came_back, packed, wanted

LOCATIONS, SKUS = ("east", "west"), ("A", "B")
SKU_OF_LINE = {1: "A", 2: "B", 3: "A"}

S = TypeVar("S", StockItem, Allocation)

locations = st.sampled_from(LOCATIONS)
skus = st.sampled_from(SKUS)
orders = st.sampled_from([OrderId(UUID(int=n)) for n in range(1, 13)])
parcels = st.sampled_from([ShipmentId(UUID(int=n)) for n in range(21, 24)])
subjects = st.sampled_from(["r/1", "r/2"])
some = st.integers(1, 4)
pieces_by_line = st.dictionaries(st.sampled_from(list(SKU_OF_LINE)), some, min_size=1)


class Pieces(RuleBasedStateMachine):
    """Two skus at two locations, and a few orders that want them.

    Attributes:
        brought: pieces that people have put on each shelf, less those that they took.
        floor: what each item's availability must not fall below without backorders.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stock = Warehouse()
        self.brought: Counter[tuple[str, str]] = Counter()
        for location in LOCATIONS:
            for sku in SKUS:
                self.brought[location, sku] = 6
                self.stock.shelf(
                    location, sku, on_hand=6, allow_backorder=(location, sku) == ("west", "B")
                )
        self.floor = dict.fromkeys(self.stock.items, 0)

    @rule(location=locations, sku=skus, allow=st.booleans())
    def list_again(self, location: str, sku: str, *, allow: bool) -> None:
        self.stock.shelf(location, sku, allow_backorder=allow)

    @rule(location=locations, sku=skus, quantity=st.integers(1, 9))
    def receive(self, location: str, sku: str, quantity: int) -> None:
        self.stock.receive(quantity, location, sku)
        self.brought[location, sku] += quantity

    @rule(location=locations, sku=skus, change=st.integers(-5, 5))
    def adjust(self, location: str, sku: str, change: int) -> None:
        try:
            self.stock.adjust(change, location, sku)
        except DomainError:
            return
        self.brought[location, sku] += change

    @rule(order=orders, pieces=pieces_by_line, commit=st.booleans())
    def reserve(self, order: OrderId, pieces: dict[int, int], *, commit: bool) -> None:
        lines = [wanted(number, SKU_OF_LINE[number], pieces[number]) for number in pieces]
        known = order in self.stock.allocations
        can_be_had = all(self._can_be_had(sku, lines) for sku in SKUS)
        changes = self.stock.reserve(*lines, order_id=order)
        assert self.stock.reserve(*lines, order_id=order) == NOTHING
        if known:
            assert changes == NOTHING
            return
        allocation = self.stock.allocations[order]
        held = {number: self._held(allocation, number) for number in pieces}
        assert held == (pieces if can_be_had else dict.fromkeys(pieces, 0))
        assert (allocation.status is AllocationStatus.REJECTED) == (not can_be_had)
        if commit:  # At once: by chance alone few orders would live until they are shipped.
            self.stock.commit(order)

    @rule(order=orders)
    def release(self, order: OrderId) -> None:
        self.stock.release(order)
        assert not self.stock.allocations[order].holds_any
        assert self.stock.release(order) == NOTHING

    @precondition(lambda self: self.stock.allocations)
    @rule(data=st.data(), commit=st.booleans())
    def commit_or_expire(self, data: st.DataObject, *, commit: bool) -> None:
        order = self._known(data)
        before = self.stock.allocations[order]
        changes = self.stock.commit(order) if commit else self.stock.expire(order)
        assert (changes == NOTHING) == (before.status is not AllocationStatus.RESERVED)
        assert self.stock.commit(order) == self.stock.expire(order) == NOTHING

    @precondition(lambda self: self.stock.allocations)
    @rule(data=st.data(), still=pieces_by_line)
    def cancel_lines(self, data: st.DataObject, still: dict[int, int]) -> None:
        order = self._known(data)
        self.stock.release_unwanted(still, order)
        allocation = self.stock.allocations[order]
        for number in SKU_OF_LINE:
            assert self._held(allocation, number) <= still.get(number, 0)
        assert self.stock.release_unwanted(still, order) == NOTHING

    @precondition(lambda self: self.stock.allocations)
    @rule(data=st.data(), parcel=parcels)
    def ship(self, data: st.DataObject, parcel: ShipmentId) -> None:
        order = self._known(data, AllocationStatus.COMMITTED)
        pieces = self._lines_of(data, order)
        lines = [packed(number, SKU_OF_LINE[number], pieces[number]) for number in pieces]
        before = self.stock.allocations[order]
        known = parcel in before.shipments
        try:
            changes = self.stock.ship(*lines, parcel=parcel, order_id=order)
        except DomainError:
            return
        assert known == (changes == NOTHING)
        left = {
            n: self._held(before, n) - self._held(self.stock.allocations[order], n) for n in pieces
        }
        assert known or left == {n: min(pieces[n], self._held(before, n)) for n in pieces}
        assert self.stock.ship(*lines, parcel=parcel, order_id=order) == NOTHING

    @precondition(lambda self: self.stock.allocations)
    @rule(data=st.data(), subject=subjects)
    def restock(self, data: st.DataObject, subject: str) -> None:
        order = self._known(data, shipped=True)
        pieces = self._lines_of(data, order)
        lines = [came_back(number, SKU_OF_LINE[number], pieces[number]) for number in pieces]
        known = subject in self.stock.allocations[order].restocks
        try:
            changes = self.stock.restock(*lines, subject=subject, order_id=order)
        except DomainError:
            return
        assert known == (changes == NOTHING)
        assert self.stock.restock(*lines, subject=subject, order_id=order) == NOTHING

    @rule()
    def load_from_snapshots(self) -> None:
        for key, item in self.stock.items.items():
            self.stock.items[key] = _reload(item)
        for order, allocation in self.stock.allocations.items():
            self.stock.allocations[order] = _reload(allocation)

    @invariant()
    def what_was_brought_is_there_or_has_left(self) -> None:
        away: Counter[tuple[str, str]] = Counter()
        for allocation in self.stock.allocations.values():
            for part in allocation.parts:
                away[part.location, part.sku] += part.shipped - part.restocked
        for key, item in self.stock.items.items():
            assert item.on_hand == self.brought[key] - away[key] >= 0

    @invariant()
    def an_allocation_is_what_the_items_hold_for_the_order(self) -> None:
        says = {
            (order, part.line_number, part.location, part.held, committed)
            for order, allocation in self.stock.allocations.items()
            for committed in [allocation.status is AllocationStatus.COMMITTED]
            for part in allocation.parts
            if part.held
        }
        holds = {
            (order, hold.line_number, item.location, hold.quantity, hold.committed)
            for item in self.stock.items.values()
            for order, of_order in item.holds.items()
            for hold in of_order
        }
        assert says == holds

    @invariant()
    def an_item_counts_its_holds(self) -> None:
        for item in self.stock.items.values():
            holds = [hold for of_order in item.holds.values() for hold in of_order]
            assert item.committed == sum(hold.quantity for hold in holds if hold.committed)
            assert item.reserved == sum(hold.quantity for hold in holds if not hold.committed)

    @invariant()
    def a_piece_that_is_there_is_ready_for_one_order(self) -> None:
        for item in self.stock.items.values():
            ready = [
                item.ready(order, hold.line_number)
                for order, holds in item.holds.items()
                for hold in holds
            ]
            assert sum(ready) == min(item.on_hand, item.promised)

    @invariant()
    def nothing_is_oversold_without_backorders(self) -> None:
        for key, item in self.stock.items.items():
            assert item.allow_backorder or item.available >= self.floor[key]
            self.floor[key] = min(0, item.available)

    def _known(
        self,
        data: st.DataObject,
        status: AllocationStatus | None = None,
        *,
        shipped: bool = False,
    ) -> OrderId:
        """Draw an order that was decided on: one that fits, where there is any."""
        known = self.stock.allocations
        fit = [
            order
            for order, allocation in known.items()
            if status in (None, allocation.status) and (allocation.shipments or not shipped)
        ]
        return data.draw(st.sampled_from(sorted(fit or known)))

    def _lines_of(self, data: st.DataObject, order: OrderId) -> dict[int, int]:
        """Draw a few pieces: of lines that the order got, where it got any."""
        parts = self.stock.allocations[order].parts
        numbers = sorted({part.line_number for part in parts}) or list(SKU_OF_LINE)
        return data.draw(st.dictionaries(st.sampled_from(numbers), st.integers(1, 3), min_size=1))

    def _can_be_had(self, sku: str, lines: list[WantedLine]) -> bool:
        items = [item for item in self.stock.items.values() if item.sku == sku]
        there = sum(max(0, item.available) for item in items)
        want = sum(line.quantity for line in lines if line.sku == sku)
        return want <= there or any(item.allow_backorder for item in items)

    @staticmethod
    def _held(allocation: Allocation, number: int) -> int:
        return sum(part.held for part in allocation.of_line(number))


def _reload(state: S) -> S:
    return msgspec.json.decode(msgspec.json.encode(state, enc_hook=dict), type=type(state))


TestPieces = Pieces.TestCase
