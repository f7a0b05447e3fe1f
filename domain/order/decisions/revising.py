"""What a customer may change without cancelling: fewer pieces, another address.

Rule: prices and lines are fixed once placed, so a revision only ever makes an order smaller; and
the address is frozen once a parcel is dispatched.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.countries import COUNTRIES
from domain.errors import DomainError
from domain.ids import Sku
from domain.order.decisions.refusals import check_quantity, find_line, require
from domain.order.events import OrderEvent, OrderRevised, RevisedLine, ShippingAddressChanged
from domain.order.guards import is_open, may_change_address
from domain.order.parcels import Parcels
from domain.order.state import Order
from domain.personal import PersonalData


@dataclass(frozen=True, slots=True)
class LineToRevise:
    """How many pieces of a sku are wanted from now on; see `LineToCancel` for `line_number`."""

    sku: Sku
    quantity: int
    line_number: int | None = None


def revise(
    order: Order, parcels: Parcels, *, lines: Sequence[LineToRevise], reason: str
) -> tuple[OrderEvent, ...]:
    """Decide that fewer pieces of some lines are wanted; a line keeps at least one.

    Raises:
        DomainError: `illegal_transition` unless it is pending or confirmed; `no_lines`,
            `quantity_out_of_range`, `unknown_line`, `ambiguous_sku`, `duplicate_line`;
            `quantity_not_reduced` for as many or more; `quantity_below_parcels`.
    """
    require(is_open(order), order)
    if not lines:
        raise DomainError("no_lines", "name at least one line to revise", field="/lines")
    revised: dict[int, RevisedLine] = {}
    for index, request in enumerate(lines):
        line = _check_line(order, parcels, request, f"/lines/{index}")
        if line.line_number in revised:
            raise DomainError(
                "duplicate_line", "a line is revised once at a time", field=f"/lines/{index}"
            )
        revised[line.line_number] = line
    in_order = tuple(revised[number] for number in sorted(revised))
    return (OrderRevised(order.order_id, in_order, reason),)


def change_address(
    order: Order, parcels: Parcels, *, personal: PersonalData
) -> tuple[OrderEvent, ...]:
    """Decide that it goes elsewhere; of `personal` only `shipping_address` counts.

    Raises:
        DomainError: `illegal_transition` unless it is pending or confirmed, and nothing of it
            was dispatched; `customer_forgotten`; `no_address`, `unknown_country`.
    """
    require(is_open(order), order)
    if order.forgotten:
        raise DomainError("customer_forgotten", "this customer was forgotten")
    require(may_change_address(order, parcels), order, "a parcel was dispatched")
    address = personal.shipping_address
    if address is None:
        raise DomainError("no_address", "name the new address", field="/shipping_address")
    if address.country not in COUNTRIES:
        raise DomainError(
            "unknown_country",
            "not an ISO 3166-1 alpha-2 country",
            field="/shipping_address/country",
        )
    return (ShippingAddressChanged(order.order_id, PersonalData(shipping_address=address)),)


def _check_line(order: Order, parcels: Parcels, request: LineToRevise, field: str) -> RevisedLine:
    check_quantity(request.quantity, f"{field}/quantity")
    line = find_line(order, request.sku, request.line_number, field)
    remaining = order.remaining(line)
    if request.quantity >= remaining:
        raise DomainError(
            "quantity_not_reduced",
            f"line {line.line_number} has {remaining} pieces: say fewer",
            field=f"{field}/quantity",
            extra={"remaining": remaining},
        )
    if request.quantity < parcels.holds(line):
        raise DomainError(
            "quantity_below_parcels",
            f"{parcels.holds(line)} pieces of line {line.line_number} are in a parcel",
            field=f"{field}/quantity",
            extra={"in_parcels": parcels.holds(line)},
        )
    return RevisedLine(line.line_number, line.sku, request.quantity)
