"""A new order: everything about it that is checked once, and fixed from then on."""

from collections.abc import Sequence

from domain.countries import COUNTRIES
from domain.errors import DomainError
from domain.ids import ClientId, CustomerId, OrderId, OrderNumber
from domain.money import CURRENCY_EXPONENTS, LARGEST_AMOUNT_MINOR, Currency
from domain.order.decisions.refusals import check_amount, check_quantity
from domain.order.events import OrderEvent, OrderLine, OrderPlaced, PaymentMethod
from domain.personal import PersonalData

MOST_LINES = 1_000


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
    fulfilled_here: bool,
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
        check_quantity(line.quantity, f"/lines/{index}/quantity")
        check_amount(line.unit_price_minor, f"/lines/{index}/unit_price_minor")
    check_amount(shipping_minor, "/shipping_minor")
    check_amount(tax_minor, "/tax_minor")
    check_amount(discount_minor, "/discount_minor")
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
            fulfilled_here=fulfilled_here,
        ),
    )
