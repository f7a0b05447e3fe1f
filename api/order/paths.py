"""What every order route reads from its address."""

import re
from uuid import UUID

import msgspec
from starlette.requests import Request

from api.http.problems import not_found
from domain.ids import OrderId

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def order_id(request: Request) -> OrderId:
    """Give the order's id. What is no UUID names no order, and answers as a missing one does."""
    named = uuid_in(request, "order_id")
    if named is None:
        raise not_found()
    return OrderId(named)


def uuid_in(request: Request, name: str) -> UUID | None:
    """Give the UUID in a part of the address; None if it isn't one."""
    sent: str = request.path_params[name]
    if not _UUID.fullmatch(sent):
        return None
    return msgspec.convert(sent, UUID)  # as UUID(sent), in C
