"""Cancel an order, whole or by line."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from commands.order.change import Decision, Target, change_order
from commands.order.file import OrderFile
from commands.ports import Answer, Ports, Request
from domain.errors import DomainError
from domain.ids import CustomerId, OrderId
from domain.order import decisions
from domain.order.decisions import LineToCancel
from domain.order.events import CancelReason
from domain.order.state import Order
from domain.shipment.status import parcels_of


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """A request to cancel.

    Attributes:
        lines: what to cancel; None: all of it.
        owner: the customer whose order it must be; None: anybody's.
        if_position: the log position of the view that the caller decided on; None: any.
        cancelled_at: business time, for what was cancelled elsewhere; now by default.
    """

    order_id: OrderId
    reason: str
    reason_code: CancelReason = CancelReason.OTHER
    lines: Sequence[LineToCancel] | None = None
    owner: CustomerId | None = None
    if_position: int | None = None
    cancelled_at: datetime | None = None


async def cancel_order(command: CancelOrder, request: Request, ports: Ports) -> Answer:
    """Decide and store a cancellation.

    Raises:
        DomainError: `order_not_found` (also for another customer's); a rule of
            `decisions.request_cancellation` or `cancel_lines`; `cancelled_in_the_future`;
            `idempotency_key_reused`; `stale_view`;
            `too_much_contention` after five version conflicts in a row.
        StoreUnavailableError: nothing is known to be stored.
    """
    if command.cancelled_at is not None and command.cancelled_at > ports.clock.now():
        raise DomainError(
            "cancelled_in_the_future", "cancelled_at is after now", field="/cancelled_at"
        )

    def decide(order: Order, file: OrderFile) -> Decision:
        parcels = parcels_of(file.shipments.state)
        reason, code = command.reason, command.reason_code
        if command.lines is None:
            events = decisions.request_cancellation(order, parcels, reason=reason, reason_code=code)
        else:
            events = decisions.cancel_lines(
                order, parcels, lines=command.lines, reason=reason, reason_code=code
            )
        return Decision(file.order, events, read=[file.shipments], occurred_at=command.cancelled_at)

    target = Target(command.order_id, command.owner, command.if_position)
    return await change_order(target, decide, request, ports)
