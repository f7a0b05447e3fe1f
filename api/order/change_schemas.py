"""The bodies of what changes an order that was placed. Shapes only."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from api.http.fields import Identifier64, Strict, Text500
from api.order.schemas import AddressBody
from domain.ids import Sku
from domain.order.decisions import MOST_LINES, LineToRevise
from domain.shipment.pieces import LineRequest
from projections.order.forgetting import OUR_HOLD_REASONS

Reason = Annotated[Text500, Field(min_length=1)]
LineNumber = Annotated[
    int | None, Field(description="From 1; needed where the order has the sku twice")
]


def _not_ours(value: str) -> str:
    if value in OUR_HOLD_REASONS:
        raise PydanticCustomError("ours", "Holds of the platform's own say this; use other words")
    return value


class ReasonBody(Strict):
    """Why."""

    reason: Reason


class HoldBody(Strict):
    """Why, in words that can be told from the platform's own: those outlive a customer."""

    reason: Annotated[Reason, AfterValidator(_not_ours)]


class AddressChangeBody(Strict):
    """Where it goes from now on."""

    shipping_address: AddressBody


class RevisedLineBody(Strict):
    sku: Identifier64
    quantity: Annotated[int, Field(description="Wanted from now on: fewer than before")]
    line_number: LineNumber = None


class RevisionBody(Strict):
    """Fewer pieces of some lines."""

    reason: Reason
    lines: Annotated[list[RevisedLineBody], Field(max_length=MOST_LINES)]

    def to_lines(self) -> list[LineToRevise]:
        return [LineToRevise(Sku(one.sku), one.quantity, one.line_number) for one in self.lines]


class LinePiecesBody(Strict):
    sku: Identifier64
    quantity: int
    line_number: LineNumber = None

    def to_line(self) -> LineRequest:
        return LineRequest(Sku(self.sku), self.quantity, self.line_number)


Lines = Annotated[list[LinePiecesBody], Field(max_length=MOST_LINES)]
