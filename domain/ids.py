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
ShipmentId = NewType("ShipmentId", UUID)
ReturnId = NewType("ReturnId", UUID)
StreamId = NewType("StreamId", str)
"""One aggregate's events: `order-<uuid>`, `stock-<sku>/<location>`."""

ORDER_NUMBER_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Digits and letters that can't be mistaken for one another: no 0, O, 1 or I."""


def order_stream(order_id: OrderId) -> StreamId:
    return StreamId(f"order-{order_id}")


def payment_stream(order_id: OrderId) -> StreamId:
    return StreamId(f"payment-{order_id}")


def allocation_stream(order_id: OrderId) -> StreamId:
    return StreamId(f"allocation-{order_id}")


def shipments_stream(order_id: OrderId) -> StreamId:
    """All parcels of an order: so that two parcels can't get the same piece."""
    return StreamId(f"shipments-{order_id}")


def returns_stream(order_id: OrderId) -> StreamId:
    return StreamId(f"returns-{order_id}")


def fulfilment_stream(order_id: OrderId) -> StreamId:
    return StreamId(f"fulfilment-{order_id}")


def stock_stream(location: str, sku: Sku) -> StreamId:
    """A location has no slash, so the last one begins it, whatever the sku holds."""
    return StreamId(f"{stock_streams_prefix(sku)}{location}")


def stock_streams_prefix(sku: Sku) -> str:
    """What the streams of a sku begin with, and those of some other skus: one with a slash."""
    return f"stock-{sku}/"


def sku_of_stream(stream: StreamId) -> Sku | None:
    """Read whose stock a stream is; None: it isn't any."""
    if not stream.startswith("stock-"):
        return None
    return Sku(stream.removeprefix("stock-").rpartition("/")[0])


def format_order_number(draw: int) -> OrderNumber:
    """Write 40 random bits as eight characters in two groups. Raises ValueError out of range."""
    if not 0 <= draw < 1 << 40:
        raise ValueError("an order number is drawn from 40 bits")
    letters = "".join(ORDER_NUMBER_ALPHABET[draw >> shift & 31] for shift in range(35, -1, -5))
    return OrderNumber(f"{letters[:4]}-{letters[4:]}")
