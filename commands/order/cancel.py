"""Cancel an order, whole or by line."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from commands.attempts import until_unmoved
from commands.envelopes import address_events
from commands.order.answers import order_answer
from commands.ports import Answer, Append, Ports, Request, Stream, Write
from domain.errors import DomainError
from domain.ids import CustomerId, OrderId, order_stream
from domain.order import decisions
from domain.order.decisions import LineToCancel
from domain.order.events import CancelReason, OrderEvent
from domain.order.parcels import NO_PARCELS
from domain.order.state import ORDER, Order


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
            `decisions.cancel` or `cancel_lines`; `cancelled_in_the_future`;
            `idempotency_key_reused`; `stale_view`;
            `too_much_contention` after five version conflicts in a row.
        StoreUnavailableError: nothing is known to be stored.
    """
    async with ports.turns.of(order_stream(command.order_id)):
        return await until_unmoved(lambda: _try(command, request, ports))


async def _try(command: CancelOrder, request: Request, ports: Ports) -> Answer:
    stream = await ports.store.load(order_stream(command.order_id), ORDER)
    order = _owned(stream, command)
    # After the load: whoever changed what was loaded has stored their answer by then.
    earlier = await ports.store.find_answer(request)
    if earlier is not None:
        return earlier
    if command.if_position not in (None, stream.position):
        raise DomainError(
            "stale_view", "the order has changed since", extra={"position": stream.position}
        )
    return await ports.store.append(_decide(command, order, stream, request, ports))


def _owned(stream: Stream[Order], command: CancelOrder) -> Order:
    order = stream.state
    if order is None or command.owner not in (None, order.customer_id):
        raise DomainError("order_not_found", "there is no such order")
    return order


def _decide(
    command: CancelOrder, order: Order, stream: Stream[Order], request: Request, ports: Ports
) -> Append:
    now = ports.clock.now()
    if command.cancelled_at is not None and command.cancelled_at > now:
        raise DomainError(
            "cancelled_in_the_future", "cancelled_at is after now", field="/cancelled_at"
        )
    events: tuple[OrderEvent, ...]
    if command.lines is None:
        events = decisions.cancel(order, reason=command.reason, reason_code=command.reason_code)
    else:
        events = decisions.cancel_lines(
            order,
            NO_PARCELS,
            lines=command.lines,
            reason=command.reason,
            reason_code=command.reason_code,
        )
    return Append(
        writes=[
            Write(
                stream,
                address_events(events, request, ports, occurred_at=command.cancelled_at or now),
                order.order_id,
            )
        ],
        request=request,
        answer=order_answer(stream, events),
        customer_id=order.customer_id,
    )
