"""Orders to decide on: given what happened, when something is decided, then events."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any
from uuid import UUID

import pytest

from domain.errors import DomainError
from domain.ids import ClientId, CustomerId, OrderId, OrderNumber, Sku
from domain.money import Currency
from domain.order import decisions
from domain.order.events import CancelReason, OrderEvent, OrderLine, PaymentMethod
from domain.order.state import Order, evolve
from domain.personal import PersonalData

ORDER_ID = OrderId(UUID(int=1))
WHY = CancelReason.OTHER


def line(number: int = 1, sku: str = "A", quantity: int = 5, price: int = 100) -> OrderLine:
    return OrderLine(number, Sku(sku), sku, quantity, price)


def place(**changes: Any) -> tuple[OrderEvent, ...]:
    wishes: dict[str, Any] = {
        "order_id": ORDER_ID,
        "order_number": OrderNumber("7K3M-92QX"),
        "client_id": ClientId("shop"),
        "external_reference": None,
        "customer_id": CustomerId("c-1"),
        "personal": PersonalData(),
        "currency": Currency("GBP"),
        "lines": [line()],
        "shipping_minor": 0,
        "tax_minor": 0,
        "discount_minor": 0,
        "payment": PaymentMethod.TOKEN,
        "fulfilled_here": False,
    }
    return decisions.place(**(wishes | changes))


def here(*later: OrderEvent, **changes: Any) -> Order:
    """Give an order that is fulfilled here, after some events."""
    return given([*place(fulfilled_here=True, **changes), *later])


def given(events: Sequence[OrderEvent]) -> Order:
    order = reduce(evolve, events, None)
    assert order is not None
    return order


def refused(decide: Callable[[], object]) -> DomainError:
    with pytest.raises(DomainError) as caught:
        decide()
    return caught.value
