"""How the rules of an order say no: the same codes, and the status with every illegal step."""

from domain.errors import DomainError
from domain.ids import Sku
from domain.money import LARGEST_AMOUNT_MINOR
from domain.order.events import OrderLine
from domain.order.state import Order, OrderStatus

LARGEST_QUANTITY = 1_000_000


def require(legal: bool, order: Order, why: str | None = None) -> None:  # noqa: FBT001
    """Raise `illegal_transition` unless `legal`; `why` is said where it isn't the status."""
    if not legal:
        raise DomainError(
            "illegal_transition",
            why or f"the order is {order.status}",
            extra={"order_status": str(order.status)},
        )


def require_status(order: Order, *legal: OrderStatus) -> None:
    require(order.status in legal, order)


def find_line(order: Order, sku: Sku, line_number: int | None, field: str) -> OrderLine:
    """Find the line of a sku; its number must be said where the order has the sku twice.

    Raises:
        DomainError: `unknown_line`, `ambiguous_sku`.
    """
    found = [
        line for line in order.lines if line.sku == sku and line_number in (None, line.line_number)
    ]
    if not found:
        raise DomainError("unknown_line", "the order has no such line", field=field)
    if len(found) > 1:
        numbers = [line.line_number for line in found]
        raise DomainError(
            "ambiguous_sku",
            f"the order has this sku on lines {numbers}: say line_number",
            field=f"{field}/line_number",
            extra={"line_numbers": numbers},
        )
    return found[0]


def check_quantity(quantity: int, field: str) -> None:
    if not 1 <= quantity <= LARGEST_QUANTITY:
        raise DomainError(
            "quantity_out_of_range", f"a quantity is from 1 to {LARGEST_QUANTITY}", field=field
        )


def check_amount(amount_minor: int, field: str) -> None:
    if amount_minor < 0:
        raise DomainError("amount_negative", "an amount is never negative", field=field)
    if amount_minor > LARGEST_AMOUNT_MINOR:
        raise DomainError(
            "total_too_large",
            f"an amount is at most {LARGEST_AMOUNT_MINOR} minor units",
            field=field,
        )
