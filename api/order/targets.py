"""Which order a command is about: named in its address, or found by its parcel or its return."""

from typing import Any
from uuid import UUID

from starlette.requests import Request as HttpRequest

from api.http.access import owner
from api.http.problems import refused
from api.http.receive import Received
from api.order.paths import order_id, uuid_in
from commands.order.change import Target
from domain.errors import DomainError


def named_order(http: HttpRequest, received: Received[Any]) -> Target:
    """Give the order in the address; a customer's must be their own."""
    return Target(order_id(http), owner(received.actor), received.if_position)


async def order_of(http: HttpRequest, received: Received[Any], scope: str) -> tuple[Target, UUID]:
    """Find the order that has this parcel or return, and give its id too.

    Raises:
        ProblemError: 404, there is no such thing.
    """
    name = uuid_in(http, f"{scope}_id")
    holder = await received.ports.store.holder_of(scope, str(name))
    if holder is None:
        raise refused(DomainError(f"{scope}_not_found", f"there is no such {scope}"))
    return Target(holder, owner(received.actor), received.if_position), name
