"""The bodies of returns. Shapes only."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.http.fields import Strict
from api.order.change_schemas import LinePiecesBody, Lines, Reason
from api.order.documents import CommandAnswer
from commands.returns.returning import RequestReturn
from domain.ids import Sku
from domain.order.decisions import MOST_LINES
from domain.returns.decisions import LineToReceive
from domain.returns.events import ReturnReason


class ReturnBody(Strict):
    """Pieces that a customer wants to send back."""

    lines: Lines
    reason: Reason
    reason_code: Annotated[ReturnReason, Field(strict=False)] = ReturnReason.OTHER

    def to_command(self) -> RequestReturn:
        lines = [line.to_line() for line in self.lines]
        return RequestReturn(lines, self.reason_code, self.reason)


class EmptyBody(Strict):
    """Nothing is to be said."""


class ReceivedLineBody(LinePiecesBody):
    restock: Annotated[int, Field(description="How many of them can be sold again")] = 0

    def to_received(self) -> LineToReceive:
        return LineToReceive(Sku(self.sku), self.quantity, self.line_number, self.restock)


class ReturnReceiptBody(Strict):
    """What has come of a return."""

    lines: Annotated[list[ReceivedLineBody], Field(max_length=MOST_LINES)]


class ReturnAnswer(CommandAnswer):
    """The order after it, and which return."""

    return_id: UUID
