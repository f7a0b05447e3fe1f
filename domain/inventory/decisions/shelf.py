"""What people do with one stock item: list it, receive pieces, put a count right.

Rule: what is promised to orders is there, unless the item may be promised before it is. A piece
that is lost all the same is taken from the count once an order has given it up.
"""

from domain.errors import DomainError
from domain.ids import Sku
from domain.inventory.events import (
    AdjustReason,
    StockAdjusted,
    StockEvent,
    StockItemListed,
    StockReceived,
)
from domain.inventory.location import Location
from domain.inventory.state import StockItem
from domain.money import CURRENCY_EXPONENTS, Currency
from domain.order.decisions.refusals import check_amount, check_quantity


def list_item(
    item: StockItem | None,
    *,
    sku: Sku,
    location: Location,
    name: str,
    unit_price_minor: int,
    currency: Currency,
    allow_backorder: bool | None,
) -> tuple[StockEvent, ...]:
    """Decide that a sku is kept at a location; again: its new name, price or backorders.

    Backorders that end here are not taken back: what was promised stays promised. With None they
    stay as they are, and a new item has none.

    Raises:
        DomainError: `unknown_currency`, `amount_negative`, `total_too_large`.
    """
    if currency not in CURRENCY_EXPONENTS:
        raise DomainError("unknown_currency", "not an ISO 4217 currency", field="/currency")
    check_amount(unit_price_minor, "/unit_price_minor")
    if allow_backorder is None:
        allow_backorder = item is not None and item.allow_backorder
    listed = StockItemListed(
        sku=sku,
        location=location,
        name=name,
        unit_price_minor=unit_price_minor,
        currency=currency,
        allow_backorder=allow_backorder,
    )
    return () if item is not None and _as_listed(item) == listed else (listed,)


def receive(item: StockItem, *, quantity: int) -> tuple[StockEvent, ...]:
    """Decide that pieces have come; backorders get them first, the oldest first of all.

    Raises:
        DomainError: `quantity_out_of_range`.
    """
    check_quantity(quantity, "/quantity")
    return (StockReceived(sku=item.sku, location=item.location, quantity=quantity),)


def adjust(
    item: StockItem, *, change: int, reason_code: AdjustReason, reason: str
) -> tuple[StockEvent, ...]:
    """Decide that there are more pieces than was thought, or fewer (below zero).

    Raises:
        DomainError: `quantity_out_of_range`, also for no change at all; `stock_below_zero`;
            `stock_below_promised` unless backorders are allowed.
    """
    check_quantity(abs(change), "/change")
    if item.on_hand + change < 0:
        raise DomainError(
            "stock_below_zero",
            f"only {item.on_hand} pieces are there",
            field="/change",
            extra={"on_hand": item.on_hand},
        )
    if change < 0 and item.available + change < 0 and not item.allow_backorder:
        raise DomainError(
            "stock_below_promised",
            f"{item.promised} of {item.on_hand} pieces are promised to orders",
            field="/change",
            extra={"on_hand": item.on_hand, "promised": item.promised},
        )
    return (
        StockAdjusted(
            sku=item.sku,
            location=item.location,
            change=change,
            reason_code=reason_code,
            reason=reason,
        ),
    )


def _as_listed(item: StockItem) -> StockItemListed:
    return StockItemListed(
        sku=item.sku,
        location=item.location,
        name=item.name,
        unit_price_minor=item.unit_price_minor,
        currency=item.currency,
        allow_backorder=item.allow_backorder,
    )
