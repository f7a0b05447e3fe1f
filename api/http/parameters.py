"""Query parameters: validated by a model, or refused where a route has none."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from api.http.problems import ProblemError
from api.http.validation import invalid_parameters, repeated_parameters

M = TypeVar("M", bound=BaseModel)


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
