"""When something may be decided on an order: what the decisions refuse, the caller isn't offered.

The same functions stand behind the decisions and behind the list of legal actions.
"""

from domain.order.parcels import Parcels
from domain.order.state import Order, OrderStatus

_OPEN = (OrderStatus.PENDING, OrderStatus.CONFIRMED)


def is_open(order: Order) -> bool:
    """Whether the order is still on its way: neither over nor being cancelled."""
    return order.status in _OPEN


def may_cancel(order: Order, parcels: Parcels) -> bool:
    """Whether all of it may be cancelled: not once a parcel has left; that is a return."""
    return is_open(order) and not parcels.dispatched


def may_cancel_lines(order: Order, parcels: Parcels) -> bool:
    """Whether some piece may be cancelled: one that is in no parcel."""
    return is_open(order) and any(
        order.remaining(line) > parcels.holds(line) for line in order.lines
    )


def may_revise(order: Order, parcels: Parcels) -> bool:
    """Whether some line may get fewer pieces and keep one."""
    return is_open(order) and any(
        order.remaining(line) > max(1, parcels.holds(line)) for line in order.lines
    )


def may_change_address(order: Order, parcels: Parcels) -> bool:
    """Whether it may go elsewhere: all parcels of an order go to one address.

    Of a customer who was forgotten no address is kept.
    """
    return is_open(order) and not parcels.dispatched and not order.forgotten


def may_hold(order: Order) -> bool:
    return is_open(order) and not order.on_hold


def may_release_hold(order: Order) -> bool:
    return is_open(order) and order.on_hold


def may_ship(order: Order) -> bool:
    """Whether a parcel may be created or dispatched."""
    return order.status is OrderStatus.CONFIRMED and not order.on_hold
