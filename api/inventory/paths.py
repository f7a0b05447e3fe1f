"""What every stock route reads from its address."""

from starlette.requests import Request

from api.http.fields import CONTROL_CHARACTER
from api.http.problems import refused
from domain.errors import DomainError
from domain.ids import Sku


def sku(request: Request) -> Sku:
    """Give the sku. What can't be one names no item: PostgreSQL could not even look for a NUL."""
    named: str = request.path_params["sku"]
    if CONTROL_CHARACTER.search(named):
        raise no_such_item()
    return Sku(named)


def no_such_item() -> Exception:
    """Make the answer for an item that nobody has listed."""
    return refused(DomainError("stock_item_not_found", "there is no such stock item"))
