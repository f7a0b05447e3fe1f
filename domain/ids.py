"""The names things go by. NewTypes, so that an order id can't be passed for a customer id."""

from typing import NewType
from uuid import UUID

OrderId = NewType("OrderId", UUID)
CustomerId = NewType("CustomerId", str)
ClientId = NewType("ClientId", str)
"""Who may place orders: the subject of a service's token. External references are unique per it."""
Sku = NewType("Sku", str)
OrderNumber = NewType("OrderNumber", str)
"""What people read out on the phone, such as `7K3M-92QX`: unique, never a credential."""
StreamId = NewType("StreamId", str)
"""One aggregate's events: `order-<uuid>`."""

ORDER_NUMBER_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Digits and letters that can't be mistaken for one another: no 0, O, 1 or I."""


def order_stream(order_id: OrderId) -> StreamId:
    return StreamId(f"order-{order_id}")


def format_order_number(draw: int) -> OrderNumber:
    """Write 40 random bits as eight characters in two groups. Raises ValueError out of range."""
    if not 0 <= draw < 1 << 40:
        raise ValueError("an order number is drawn from 40 bits")
    letters = "".join(ORDER_NUMBER_ALPHABET[draw >> shift & 31] for shift in range(35, -1, -5))
    return OrderNumber(f"{letters[:4]}-{letters[4:]}")
