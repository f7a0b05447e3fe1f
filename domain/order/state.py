"""What decisions need to know of an order, folded from its events. No rules here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias, assert_never

from domain.aggregate import Aggregate
from domain.ids import CustomerId, OrderId, OrderNumber
from domain.money import Currency
from domain.order.events import (
    CancelReason,
    HoldReason,
    OrderCancellationRequested,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderEvent,
    OrderExpired,
    OrderHeld,
    OrderHoldReleased,
    OrderLine,
    OrderLinesCancelled,
    OrderPersonalDataForgotten,
    OrderPlaced,
    OrderRejected,
    OrderRevised,
    PaymentMethod,
    ShippingAddressChanged,
)


class OrderStatus(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCEL_PENDING = "cancel_pending"
    CANCELLED = "cancelled"


_OFF = (
    OrderStatus.REJECTED,
    OrderStatus.EXPIRED,
    OrderStatus.CANCEL_PENDING,
    OrderStatus.CANCELLED,
)


@dataclass(frozen=True, slots=True)
class Order:
    """An order as decisions see it.

    Attributes:
        total_minor: as placed: lines + shipping + tax - discount.
        cancelled: pieces by line number.
        held_for: why it is on hold; None: it isn't.
        cancellation: why its cancellation is asked for, once it is.
        forgotten: its personal data can't be read any more, and everybody was told.
    """

    order_id: OrderId
    order_number: OrderNumber
    customer_id: CustomerId
    status: OrderStatus
    currency: Currency
    total_minor: int
    shipping_minor: int
    discount_minor: int
    payment: PaymentMethod
    fulfilled_here: bool
    lines: tuple[OrderLine, ...]
    cancelled: Mapping[int, int]
    held_for: HoldReason | None = None
    cancellation: CancelReason | None = None
    forgotten: bool = False

    @property
    def on_hold(self) -> bool:
        return self.held_for is not None

    @property
    def owed_minor(self) -> int:
        """What its customer owes for the pieces that are still wanted; nothing, once it is off.

        Tax and discount lie on goods and shipping alike: who cancels a part keeps its share of
        them, no more. It is rounded down once, so all of it is the total to the cent.
        """
        if self.status in _OFF:
            return 0
        ordered = sum(line.unit_price_minor * line.quantity for line in self.lines)
        wanted = sum(line.unit_price_minor * self.remaining(line) for line in self.lines)
        if ordered + self.shipping_minor == 0:
            return self.total_minor  # a tax on what is free: no piece has a share of it
        return self.total_minor * (wanted + self.shipping_minor) // (ordered + self.shipping_minor)

    def remaining(self, line: OrderLine) -> int:
        """Pieces of a line that are still wanted."""
        return line.quantity - self.cancelled.get(line.line_number, 0)


_End: TypeAlias = OrderRejected | OrderExpired | OrderCompleted | OrderCancelled
_ENDS_AS: Mapping[type[_End], OrderStatus] = {
    OrderRejected: OrderStatus.REJECTED,
    OrderExpired: OrderStatus.EXPIRED,
    OrderCompleted: OrderStatus.COMPLETED,
    OrderCancelled: OrderStatus.CANCELLED,
}


def evolve(order: Order | None, event: OrderEvent) -> Order:
    """Fold one event. A stream that does not begin with `OrderPlaced` can't be, and crashes."""
    if isinstance(event, OrderPlaced):
        return _placed(event)
    if order is None:
        raise AssertionError(f"{type(event).__name__} before OrderPlaced")
    if isinstance(event, OrderHeld | OrderHoldReleased):
        return replace(order, held_for=event.reason_code if isinstance(event, OrderHeld) else None)
    if isinstance(event, OrderLinesCancelled | OrderRevised):
        return replace(order, cancelled=MappingProxyType({**order.cancelled, **_new(order, event)}))
    return _moved(order, event)


def _moved(
    order: Order,
    event: (
        OrderConfirmed
        | OrderCancellationRequested
        | _End
        | ShippingAddressChanged
        | OrderPersonalDataForgotten
    ),
) -> Order:
    match event:
        case OrderCancellationRequested(reason_code=reason_code):
            return replace(order, status=OrderStatus.CANCEL_PENDING, cancellation=reason_code)
        case OrderConfirmed():
            return replace(order, status=OrderStatus.CONFIRMED)
        case OrderRejected() | OrderExpired() | OrderCompleted() | OrderCancelled():
            # Nothing of it will leave any more, so there is nothing to hold.
            return replace(order, status=_ENDS_AS[type(event)], held_for=None)
        case ShippingAddressChanged():
            return order
        case OrderPersonalDataForgotten():
            return replace(order, forgotten=True)
        case _:
            assert_never(event)


def _new(order: Order, event: OrderLinesCancelled | OrderRevised) -> dict[int, int]:
    """Give the cancelled pieces of the lines that the event names."""
    named: dict[int, int] = {}
    ordered = {line.line_number: line.quantity for line in order.lines}
    for line in event.lines:
        number = line.line_number
        before = named.get(number, order.cancelled.get(number, 0))
        more = isinstance(event, OrderLinesCancelled)
        named[number] = before + line.quantity if more else ordered[number] - line.quantity
    return named


def _placed(event: OrderPlaced) -> Order:
    return Order(
        order_id=event.order_id,
        order_number=event.order_number,
        customer_id=event.customer_id,
        status=OrderStatus.PENDING,
        currency=event.currency,
        total_minor=event.total_minor,
        shipping_minor=event.shipping_minor,
        discount_minor=event.discount_minor,
        payment=event.payment,
        fulfilled_here=event.fulfilled_here,
        lines=event.lines,
        cancelled=MappingProxyType({}),
    )


ORDER: Aggregate[Order, OrderEvent] = Aggregate("order.v4", Order, evolve)
