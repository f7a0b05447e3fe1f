"""How an order moves on: decided by the saga, and the hold also by people.

A status is left only on the way that is drawn in the design: pending -> confirmed -> completed,
or pending -> rejected or expired.
"""

from collections.abc import Sequence

from domain.order.decisions.refusals import require, require_status
from domain.order.events import (
    HoldReason,
    OrderCompleted,
    OrderConfirmed,
    OrderEvent,
    OrderExpired,
    OrderHeld,
    OrderHoldReleased,
    OrderRejected,
)
from domain.order.guards import is_open, may_hold, may_release_hold
from domain.order.state import Order, OrderStatus


def confirm(order: Order) -> tuple[OrderEvent, ...]:
    """Decide that stock and money are secured.

    Raises:
        DomainError: `illegal_transition` unless it is pending.
    """
    require_status(order, OrderStatus.PENDING)
    return (OrderConfirmed(order.order_id),)


def reject(
    order: Order, *, reason_code: str, reason: str, short: Sequence[int] = ()
) -> tuple[OrderEvent, ...]:
    """Decide that it can't be had or paid; `short`: numbers of the lines that fell short.

    Raises:
        DomainError: `illegal_transition` unless it is pending.
    """
    require_status(order, OrderStatus.PENDING)
    return (OrderRejected(order.order_id, reason_code, reason, tuple(short)),)


def expire(order: Order, *, reason: str) -> tuple[OrderEvent, ...]:
    """Decide that the customer did not finish paying in time.

    Raises:
        DomainError: `illegal_transition` unless it is pending.
    """
    require_status(order, OrderStatus.PENDING)
    return (OrderExpired(order.order_id, reason),)


def hold(
    order: Order, *, reason_code: HoldReason = HoldReason.OTHER, reason: str | None = None
) -> tuple[OrderEvent, ...]:
    """Decide that nothing more leaves the building. Money and stock go on.

    Raises:
        DomainError: `illegal_transition` unless it is pending or confirmed, and not on hold.
    """
    require(is_open(order), order)
    require(may_hold(order), order, "the order is on hold already")
    return (OrderHeld(order.order_id, reason_code, reason),)


def release_hold(order: Order, *, reason: str) -> tuple[OrderEvent, ...]:
    """Decide that parcels may leave again.

    Raises:
        DomainError: `illegal_transition` unless it is pending or confirmed, and on hold.
    """
    require(is_open(order), order)
    require(may_release_hold(order), order, "the order is not on hold")
    return (OrderHoldReleased(order.order_id, reason),)


def complete(order: Order) -> tuple[OrderEvent, ...]:
    """Decide that all is delivered and paid.

    Raises:
        DomainError: `illegal_transition` unless it is confirmed.
    """
    require_status(order, OrderStatus.CONFIRMED)
    return (OrderCompleted(order.order_id),)
