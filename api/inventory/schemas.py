"""The bodies and documents of stock. Shapes only: the rules are the domain's."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.http.fields import CurrencyCode, Identifier64, Strict, Text200, Text500
from commands.inventory.stock import Adjustment, ListItem
from domain.ids import Sku
from domain.inventory.events import AdjustReason
from domain.inventory.location import MAIN, Location, to_location
from domain.money import Currency

LocationName = Annotated[
    str, Field(description="Up to 32 lower-case letters, digits and hyphens; `main` by default")
]


def _location(name: str | None) -> Location:
    return MAIN if name is None else to_location(name)


class StockItemBody(Strict):
    """A sku that is kept at a location; again: its new name, price or backorders."""

    sku: Identifier64
    name: Text200
    unit_price_minor: Annotated[int, Field(description="What customers pay for one piece")]
    currency: Annotated[CurrencyCode, Field(description="ISO 4217")]
    on_hand: Annotated[int, Field(description="Pieces there are; only when it is new", ge=0)] = 0
    location: LocationName | None = None
    allow_backorder: Annotated[
        bool | None,
        Field(description="Whether it sells before it has come; as before, at first no, if absent"),
    ] = None

    def to_command(self) -> ListItem:
        return ListItem(
            sku=Sku(self.sku),
            name=self.name,
            unit_price_minor=self.unit_price_minor,
            currency=Currency(self.currency),
            on_hand=self.on_hand,
            location=_location(self.location),
            allow_backorder=self.allow_backorder,
        )


class ReceiptBody(Strict):
    """Pieces that have come."""

    quantity: Annotated[int, Field(description="From 1 to 1,000,000")]
    location: LocationName | None = None

    def to_location(self) -> Location:
        return _location(self.location)


class AdjustmentBody(Strict):
    """A count that is put right."""

    change: Annotated[int, Field(description="Pieces more, or (below zero) fewer")]
    reason_code: Annotated[AdjustReason, Field(strict=False)]
    reason: Annotated[Text500, Field(min_length=1)]
    location: LocationName | None = None

    def to_location(self) -> Location:
        return _location(self.location)

    def to_adjustment(self) -> Adjustment:
        return Adjustment(self.change, self.reason_code, self.reason)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StockAnswer(_Document):
    """A stock item after a command."""

    sku: str
    location: str
    version: int
    position: int
    on_hand: int
    available: int


class StockAtLocation(_Document):
    """Attributes: available: for sale; below zero: promised before it is there."""

    location: str
    name: str
    unit_price_minor: int
    currency: str
    allow_backorder: bool
    on_hand: int
    reserved: int
    committed: int
    available: int
    version: int
    position: int


class StockDocument(_Document):
    """A sku at all of its locations."""

    sku: str
    on_hand: int
    available: int
    locations: list[StockAtLocation]
