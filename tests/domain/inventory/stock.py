"""Shelves and orders to decide on: given what is there, when something is decided, then events.

`Warehouse` appends what is decided, as a handler would: to all streams of a decision at once.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from domain.ids import OrderId, ShipmentId, Sku
from domain.inventory import allocation as allocations
from domain.inventory import decisions
from domain.inventory import state as stock
from domain.inventory.allocation import Allocation
from domain.inventory.decisions import Changes, WantedLine
from domain.inventory.events import (
    AdjustReason,
    AllocatedLine,
    AllocationEvent,
    StockEvent,
)
from domain.inventory.location import Location
from domain.inventory.state import StockItem
from domain.money import Currency
from domain.returns.events import ReceivedLine
from domain.shipment.events import ShippedLine

ORDER = OrderId(UUID(int=1))
LATER = OrderId(UUID(int=2))
PARCEL = ShipmentId(UUID(int=11))
SECOND_PARCEL = ShipmentId(UUID(int=12))
UNTIL = datetime(2026, 1, 1, 12, 20, tzinfo=UTC)


def wanted(number: int = 1, sku: str = "A", quantity: int = 1) -> WantedLine:
    return WantedLine(number, Sku(sku), quantity)


def packed(number: int = 1, sku: str = "A", quantity: int = 1) -> ShippedLine:
    return ShippedLine(number, Sku(sku), quantity)


def came_back(number: int = 1, sku: str = "A", restock: int = 1) -> ReceivedLine:
    return ReceivedLine(number, Sku(sku), quantity=9, restock=restock)


def at(
    location: str, quantity: int, number: int = 1, sku: str = "A", late: int = 0
) -> AllocatedLine:
    """Give pieces of a line at a location, `late` of them backordered."""
    return AllocatedLine(number, Sku(sku), Location(location), quantity, late)


class Warehouse:
    """Stock items and allocations, folded from what was decided."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], StockItem] = {}
        self.allocations: dict[OrderId, Allocation] = {}

    def shelf(
        self,
        location: str = "main",
        sku: str = "A",
        *,
        on_hand: int = 0,
        allow_backorder: bool = False,
    ) -> None:
        """List an item and receive pieces of it."""
        self.add(
            decisions.list_item(
                self.items.get((location, sku)),
                sku=Sku(sku),
                location=Location(location),
                name=sku,
                unit_price_minor=100,
                currency=Currency("GBP"),
                allow_backorder=allow_backorder,
            )
        )
        if on_hand:
            self.receive(on_hand, location, sku)

    def receive(self, quantity: int, location: str = "main", sku: str = "A") -> None:
        self.add(decisions.receive(self.items[location, sku], quantity=quantity))

    def adjust(self, change: int, location: str = "main", sku: str = "A") -> None:
        item, why = self.items[location, sku], AdjustReason.COUNTED
        self.add(decisions.adjust(item, change=change, reason_code=why, reason="counted"))

    def reserve(self, *lines: WantedLine, order_id: OrderId = ORDER) -> Changes:
        skus = {line.sku for line in lines}
        return self.append(
            decisions.reserve(
                [item for item in self.items.values() if item.sku in skus],
                self.allocations.get(order_id),
                order_id=order_id,
                lines=lines,
                expires_at=UNTIL,
            )
        )

    def commit(self, order_id: OrderId = ORDER) -> Changes:
        return self.append(decisions.commit(self.allocations[order_id]))

    def expire(self, order_id: OrderId = ORDER) -> Changes:
        return self.append(decisions.expire(self.allocations[order_id]))

    def release(self, order_id: OrderId = ORDER) -> Changes:
        allocation = self.allocations.get(order_id)
        return self.append(decisions.release(allocation, order_id=order_id))

    def release_unwanted(self, still: dict[int, int], order_id: OrderId = ORDER) -> Changes:
        return self.append(decisions.release_unwanted(self.allocations[order_id], wanted=still))

    def ship(
        self, *lines: ShippedLine, parcel: ShipmentId = PARCEL, order_id: OrderId = ORDER
    ) -> Changes:
        allocation = self.allocations[order_id]
        items = [self.items[part.location, part.sku] for part in allocation.parts]
        return self.append(decisions.ship(items, allocation, shipment_id=parcel, lines=lines))

    def restock(
        self, *lines: ReceivedLine, subject: str = "r/1", order_id: OrderId = ORDER
    ) -> Changes:
        allocation = self.allocations[order_id]
        return self.append(decisions.restock(allocation, subject=subject, lines=lines))

    def add(self, events: Sequence[StockEvent]) -> None:
        """Append to the stream of the item that the events name."""
        for event in events:
            item = self.items.get((event.location, event.sku))
            self.items[event.location, event.sku] = stock.evolve(item, event)

    def append(self, changes: Changes) -> Changes:
        """Append to each stream what was decided for it; give it back to look at."""
        for stream, events in changes.items():
            for event in events:
                if stream.startswith("stock-"):
                    self.add([cast("StockEvent", event)])
                else:
                    own = cast("AllocationEvent", event)
                    before = self.allocations.get(own.order_id)
                    self.allocations[own.order_id] = allocations.evolve(before, own)
        return changes


def of_allocation(changes: Changes) -> AllocationEvent:
    """Give what a decision says of the order, which it says once."""
    [event] = [
        event
        for stream, events in changes.items()
        if stream.startswith("allocation-")
        for event in events
    ]
    return cast("AllocationEvent", event)


def warehouse(**on_hand: int) -> Warehouse:
    """Give a warehouse with one location: `warehouse(A=5, B=2)`."""
    one = Warehouse()
    for sku, pieces in on_hand.items():
        one.shelf("main", sku, on_hand=pieces)
    return one
