"""What every order route reads from its address."""

import re
from uuid import UUID

from starlette.requests import Request

from api.http.problems import ProblemError, not_found
from domain.ids import OrderId

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


async def order_id(order_id: str) -> OrderId:
    """Give the order's id. What is no UUID names no order, and answers as a missing one does."""
    if not _UUID.fullmatch(order_id):
        raise not_found()
    return OrderId(UUID(order_id))


async def no_parameters(request: Request) -> None:
    """Refuse query parameters on a route that has none, so that a typo is seen."""
    if request.query_params:
        raise ProblemError(
            422, "invalid_request", "this takes no query parameters; check the address"
        )
