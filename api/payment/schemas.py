"""The bodies of money. Shapes only."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.http.fields import CurrencyCode, Strict
from api.order.change_schemas import Reason
from api.order.order_document import Document


class RefundBody(Strict):
    """Money that goes back to the customer."""

    amount_minor: Annotated[int, Field(ge=1, description="In minor units")]
    currency: CurrencyCode
    reason: Reason


class RefundAnswer(Document):
    """What was asked for; that it is back is in the order's document later."""

    order_id: UUID
    refund_id: str
    version: int
    position: int
