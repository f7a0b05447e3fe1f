"""What every order route reads from its address."""

import re
from typing import TypeVar
from uuid import UUID

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from api.http.problems import ProblemError, not_found
from api.http.validation import invalid_parameters, repeated_parameters
from domain.ids import OrderId

M = TypeVar("M", bound=BaseModel)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def order_id(request: Request) -> OrderId:
    """Give the order's id. What is no UUID names no order, and answers as a missing one does."""
    sent: str = request.path_params["order_id"]
    if not _UUID.fullmatch(sent):
        raise not_found()
    return OrderId(msgspec.convert(sent, UUID))  # as UUID(sent), in C


def no_parameters(request: Request) -> None:
    """Refuse query parameters on a route that has none, so that a typo is seen."""
    if request.scope["query_string"] and request.query_params:
        raise ProblemError(
            422, "invalid_request", "this takes no query parameters; check the address"
        )


def parameters(request: Request, model: type[M]) -> M:
    """Read the query parameters, each given once at most. Raises ProblemError 422."""
    sent = request.query_params.multi_items()
    once = dict(sent)
    if len(once) < len(sent):
        raise repeated_parameters([name for name, _ in sent])
    try:
        return model.model_validate(once)
    except ValidationError as error:
        raise invalid_parameters(error.errors(include_url=False)) from error
