"""The rules of an order: one verb per decision, (state, facts) -> events, or a DomainError.

Rules live here and only here; replaying old events never runs them again, so a rule may
be tightened without making old orders unloadable.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from domain.countries import COUNTRIES
from domain.errors import DomainError
from domain.ids import ClientId, CustomerId, OrderId, OrderNumber, Sku
from domain.money import CURRENCY_EXPONENTS, LARGEST_AMOUNT_MINOR, Currency
from domain.order.events import (
    CancelledLine,
    CancelReason,
    OrderCancelled,
    OrderEvent,
    OrderLine,
    OrderLinesCancelled,
    OrderPlaced,
    PaymentMethod,
)
from domain.order.state import Order, OrderStatus
from domain.personal import PersonalData

MOST_LINES = 1_000
LARGEST_QUANTITY = 1_000_000


@dataclass(frozen=True, slots=True)
class LineToCancel:
    """A request to cancel pieces of a sku; `line_number` where the order has the sku twice."""

    sku: Sku
    quantity: int
    line_number: int | None = None


def place(
    *,
    order_id: OrderId,
    order_number: OrderNumber,
    client_id: ClientId,
    external_reference: str | None,
    customer_id: CustomerId,
    personal: PersonalData,
    currency: Currency,
    lines: Sequence[OrderLine],
    shipping_minor: int,
    tax_minor: int,
    discount_minor: int,
    payment: PaymentMethod,
) -> tuple[OrderEvent, ...]:
    """Decide a new order: total = lines + shipping + tax - discount, all in one currency.

    Raises:
        DomainError: `unknown_currency`, `unknown_country`, `no_lines`, `too_many_lines`,
            `quantity_out_of_range`, `amount_negative`, `discount_above_total`, `total_too_large`.
    """
    if currency not in CURRENCY_EXPONENTS:
        raise DomainError("unknown_currency", "not an ISO 4217 currency", field="/currency")
    address = personal.shipping_address
    if address is not None and address.country not in COUNTRIES:
        raise DomainError(
            "unknown_country",
            "not an ISO 3166-1 alpha-2 country",
            field="/shipping_address/country",
        )
    if not lines:
        raise DomainError("no_lines", "an order has at least one line", field="/lines")
    if len(lines) > MOST_LINES:
        raise DomainError(
            "too_many_lines", f"an order has at most {MOST_LINES} lines", field="/lines"
        )
    for index, line in enumerate(lines):
        _check_quantity(line.quantity, f"/lines/{index}/quantity")
        _check_amount(line.unit_price_minor, f"/lines/{index}/unit_price_minor")
    _check_amount(shipping_minor, "/shipping_minor")
    _check_amount(tax_minor, "/tax_minor")
    _check_amount(discount_minor, "/discount_minor")
    gross = (
        sum(line.quantity * line.unit_price_minor for line in lines) + shipping_minor + tax_minor
    )
    if gross > LARGEST_AMOUNT_MINOR:
        raise DomainError(
            "total_too_large", f"the total is above {LARGEST_AMOUNT_MINOR} minor units"
        )
    if discount_minor > gross:
        raise DomainError(
            "discount_above_total", "the discount is above the total", field="/discount_minor"
        )
    return (
        OrderPlaced(
            order_id=order_id,
            order_number=order_number,
            client_id=client_id,
            external_reference=external_reference,
            customer_id=customer_id,
            personal=personal,
            currency=currency,
            lines=tuple(lines),
            shipping_minor=shipping_minor,
            tax_minor=tax_minor,
            discount_minor=discount_minor,
            total_minor=gross - discount_minor,
            payment=payment,
        ),
    )


def cancel(order: Order, *, reason: str, reason_code: CancelReason) -> tuple[OrderEvent, ...]:
    """Decide the cancellation of the whole order.

    Raises:
        DomainError: `illegal_transition` unless it is pending.
    """
    _require_pending(order)
    return (OrderCancelled(order_id=order.order_id, reason=reason, reason_code=reason_code),)


def cancel_lines(
    order: Order, *, lines: Sequence[LineToCancel], reason: str, reason_code: CancelReason
) -> tuple[OrderEvent, ...]:
    """Decide the cancellation of some pieces; with the last piece the order is cancelled too.

    Raises:
        DomainError: `illegal_transition` unless it is pending; `no_lines`,
            `quantity_out_of_range`, `unknown_line`, `ambiguous_sku`, `quantity_above_remaining`.
    """
    _require_pending(order)
    if not lines:
        raise DomainError("no_lines", "name at least one line to cancel", field="/lines")
    wanted: dict[int, int] = {}
    for index, request in enumerate(lines):
        _check_quantity(request.quantity, f"/lines/{index}/quantity")
        line = _find_line(order, request, f"/lines/{index}")
        wanted[line.line_number] = wanted.get(line.line_number, 0) + request.quantity
        if wanted[line.line_number] > order.remaining(line):
            raise DomainError(
                "quantity_above_remaining",
                f"line {line.line_number} has {order.remaining(line)} pieces left to cancel",
                field=f"/lines/{index}/quantity",
                extra={"remaining": order.remaining(line)},
            )
    return tuple(_lines_cancelled(order, wanted, reason, reason_code))


def _lines_cancelled(
    order: Order, wanted: dict[int, int], reason: str, reason_code: CancelReason
) -> Iterator[OrderEvent]:
    by_number = {line.line_number: line for line in order.lines}
    yield OrderLinesCancelled(
        order_id=order.order_id,
        lines=tuple(
            CancelledLine(line_number=number, sku=by_number[number].sku, quantity=quantity)
            for number, quantity in sorted(wanted.items())
        ),
        reason=reason,
        reason_code=reason_code,
    )
    if all(order.remaining(line) == wanted.get(line.line_number, 0) for line in order.lines):
        yield OrderCancelled(order_id=order.order_id, reason=reason, reason_code=reason_code)


def _find_line(order: Order, request: LineToCancel, field: str) -> OrderLine:
    found = [
        line
        for line in order.lines
        if line.sku == request.sku and request.line_number in (None, line.line_number)
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


def _require_pending(order: Order) -> None:
    if order.status is not OrderStatus.PENDING:
        raise DomainError(
            "illegal_transition",
            f"the order is {order.status}",
            extra={"status": str(order.status)},
        )


def _check_quantity(quantity: int, field: str) -> None:
    if not 1 <= quantity <= LARGEST_QUANTITY:
        raise DomainError(
            "quantity_out_of_range", f"a quantity is from 1 to {LARGEST_QUANTITY}", field=field
        )


def _check_amount(amount_minor: int, field: str) -> None:
    if amount_minor < 0:
        raise DomainError("amount_negative", "an amount is never negative", field=field)
    if amount_minor > LARGEST_AMOUNT_MINOR:
        raise DomainError(
            "total_too_large",
            f"an amount is at most {LARGEST_AMOUNT_MINOR} minor units",
            field=field,
        )
