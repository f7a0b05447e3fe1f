"""What decisions need to know of an order, folded from its events. No rules here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never

from domain.aggregate import Aggregate
from domain.ids import CustomerId, OrderId, OrderNumber
from domain.order.events import (
    OrderCancelled,
    OrderEvent,
    OrderLine,
    OrderLinesCancelled,
    OrderPlaced,
)


class OrderStatus(StrEnum):
    PENDING = "pending"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Order:
    """An order as decisions see it. `cancelled` counts pieces by line number."""

    order_id: OrderId
    order_number: OrderNumber
    customer_id: CustomerId
    status: OrderStatus
    lines: tuple[OrderLine, ...]
    cancelled: Mapping[int, int]

    def remaining(self, line: OrderLine) -> int:
        """Pieces of a line that are still wanted."""
        return line.quantity - self.cancelled.get(line.line_number, 0)


def evolve(order: Order | None, event: OrderEvent) -> Order:
    """Fold one event. A stream that does not begin with `OrderPlaced` can't be, and crashes."""
    if isinstance(event, OrderPlaced):
        return Order(
            order_id=event.order_id,
            order_number=event.order_number,
            customer_id=event.customer_id,
            status=OrderStatus.PENDING,
            lines=event.lines,
            cancelled=MappingProxyType({}),
        )
    if order is None:
        raise AssertionError(f"{type(event).__name__} before OrderPlaced")
    if isinstance(event, OrderLinesCancelled):
        cancelled = dict(order.cancelled)
        for line in event.lines:
            cancelled[line.line_number] = cancelled.get(line.line_number, 0) + line.quantity
        return replace(order, cancelled=MappingProxyType(cancelled))
    if isinstance(event, OrderCancelled):
        return replace(order, status=OrderStatus.CANCELLED)
    assert_never(event)


ORDER: Aggregate[Order, OrderEvent] = Aggregate("order.v1", Order, evolve)
