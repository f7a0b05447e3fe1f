"""Which order a command is about: named in its address, or found by its parcel or its return."""

from typing import Any
from uuid import UUID

from starlette.requests import Request as HttpRequest

from api.http.access import owner
from api.http.receive import Received
from api.order.paths import order_id, uuid_in
from commands.order.change import Target, not_found


def named_order(http: HttpRequest, received: Received[Any]) -> Target:
    """Give the order in the address; a customer's must be their own."""
    return Target(order_id(http), owner(received.actor), received.if_position)


async def order_of(http: HttpRequest, received: Received[Any], scope: str) -> tuple[Target, UUID]:
    """Find the order that has this parcel or return, and give its id too.

    Raises:
        DomainError: `shipment_not_found`, `return_not_found`.
    """
    name = uuid_in(http, f"{scope}_id")
    holder = None if name is None else await received.ports.store.holder_of(scope, str(name))
    if name is None or holder is None:
        raise not_found(scope)
    return Target(holder, owner(received.actor), received.if_position, named=scope), name
