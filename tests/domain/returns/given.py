"""Returns to decide on: given what happened, when something is decided, then events."""

from functools import reduce
from uuid import UUID

from domain.ids import ReturnId, Sku
from domain.returns.events import (
    ReceivedLine,
    ReturnApproved,
    ReturnCancelled,
    ReturnedLine,
    ReturnEvent,
    ReturnReason,
    ReturnReceived,
    ReturnRefunded,
    ReturnRequested,
)
from domain.returns.state import Returns, evolve
from tests.domain.orders import ORDER_ID
from tests.domain.shipment.parcels import P2, created, delivered, dispatched, given

R1, R2 = ReturnId(UUID(int=21)), ReturnId(UUID(int=22))
DELIVERED = given(created(quantity=3), dispatched(), delivered(), created(P2), dispatched(P2))
"""Of 5 pieces of A, 3 were delivered, and 2 are on their way."""


def requested(return_id: ReturnId = R1, quantity: int = 2) -> ReturnRequested:
    lines = (ReturnedLine(1, Sku("A"), quantity),)
    return ReturnRequested(ORDER_ID, return_id, lines, ReturnReason.SIZE, "too small")


def approved(return_id: ReturnId = R1) -> ReturnApproved:
    return ReturnApproved(ORDER_ID, return_id)


def received(return_id: ReturnId = R1, number: int = 1, quantity: int = 1) -> ReturnReceived:
    lines = (ReceivedLine(1, Sku("A"), quantity, 0),)
    return ReturnReceived(ORDER_ID, return_id, number, lines, 100, 0)


def refunded(return_id: ReturnId = R1, number: int = 1) -> ReturnRefunded:
    return ReturnRefunded(ORDER_ID, return_id, number, 100)


def called_off(return_id: ReturnId = R1) -> ReturnCancelled:
    return ReturnCancelled(ORDER_ID, return_id, "kept")


def asked(*events: ReturnEvent) -> Returns | None:
    return reduce(evolve, events, None)
