"""A customer orders for themselves, at the catalog's prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commands.inventory.stock import load_items
from commands.order.place import PlaceOrder, place_order
from commands.ports import Answer, Ports, Request
from domain.errors import DomainError
from domain.ids import CustomerId, Sku
from domain.inventory.location import MAIN
from domain.inventory.state import StockItem
from domain.money import Currency
from domain.order.events import OrderLine, PaymentMethod
from domain.personal import PersonalData


@dataclass(frozen=True, slots=True)
class OwnLine:
    """Attributes: unit_price_minor: what the customer was shown; None: they take what it costs."""

    sku: Sku
    quantity: int
    unit_price_minor: int | None = None


@dataclass(frozen=True, slots=True)
class PlaceOwnOrder:
    customer_id: CustomerId
    personal: PersonalData
    currency: Currency
    lines: Sequence[OwnLine]


async def place_own_order(command: PlaceOwnOrder, request: Request, ports: Ports) -> Answer:
    """Look the prices up and place the order; stock and money are ours to see to.

    Raises:
        DomainError: `unknown_sku`, `currency_mismatch`, `price_changed`; and as `place_order`.
        StoreUnavailableError: nothing is known to be stored; asking again is safe.
    """
    # Prices may have changed since this request was first answered.
    earlier = await ports.store.find_answer(request)
    if earlier is not None:
        return earlier
    catalog = await _catalog([line.sku for line in command.lines], ports)
    lines = [
        _priced(number, line, catalog.get(line.sku), command.currency)
        for number, line in enumerate(command.lines, start=1)
    ]
    return await place_order(
        PlaceOrder(
            customer_id=command.customer_id,
            external_reference=None,
            personal=command.personal,
            currency=command.currency,
            lines=lines,
            shipping_minor=0,
            tax_minor=0,
            discount_minor=0,
            payment=PaymentMethod.TOKEN,
            fulfilled_here=True,
        ),
        request,
        ports,
    )


async def _catalog(skus: Sequence[Sku], ports: Ports) -> Mapping[Sku, StockItem]:
    """Give the item of each sku whose price counts: the main location's, or the first by name."""
    streams = await load_items(sorted(set(skus)), ports.store)
    items = [stream.state for stream in streams if stream.state is not None]
    # The last one with a sku stays.
    by_preference = sorted(
        items, key=lambda item: (item.location != MAIN, item.location), reverse=True
    )
    return {item.sku: item for item in by_preference}


def _priced(number: int, line: OwnLine, item: StockItem | None, currency: Currency) -> OrderLine:
    field = f"/lines/{number - 1}"
    if item is None:
        raise DomainError("unknown_sku", "this is not for sale", field=f"{field}/sku")
    if item.currency != currency:
        raise DomainError(
            "currency_mismatch", f"this is sold in {item.currency}", field="/currency"
        )
    if line.unit_price_minor not in (None, item.unit_price_minor):
        raise DomainError(
            "price_changed",
            f"one piece costs {item.unit_price_minor}",
            field=f"{field}/unit_price_minor",
            extra={"unit_price_minor": item.unit_price_minor},
        )
    return OrderLine(number, line.sku, item.name, line.quantity, item.unit_price_minor)
