"""Tell every order of a forgotten customer that its personal data is gone, batch by batch.

Rule: an order that was told before is not told again, so this can be stopped and begun anew.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from commands.order.forget import ForgetPersonalData, forget_personal_data
from commands.ports import Ports, Request, StreamUnreadableError
from domain.envelope import Actor, Role
from domain.ids import OrderId

AT_ONCE = 64
"""Orders that are told at the same time: one batch of the group commit."""


@dataclass(slots=True)
class Told:
    """Attributes: now: orders that were told now; unreadable: those whose stream can't be read."""

    now: int = 0
    unreadable: list[OrderId] = field(default_factory=list)


async def tell_orders(
    orders: Sequence[OrderId], by: str, ports: Ports, *, tell: Callable[[int], None]
) -> Told:
    """Append the event to each order that lacks it. `tell` is called with how many are done.

    Args:
        orders: all of one customer.
        by: who forgets them, for the history.
        ports: where events go.
        tell: shows progress.

    Raises:
        DomainError: `too_much_contention`; running it again is safe.
        StoreUnavailableError: the same.
    """
    told = Told()
    run_id = str(ports.names.new_event_id())
    for begin in range(0, len(orders), AT_ONCE):
        batch = orders[begin : begin + AT_ONCE]
        await asyncio.gather(*(_tell_one(one, by, run_id, ports, told) for one in batch))
        tell(begin + len(batch))
    return told


async def _tell_one(order_id: OrderId, by: str, run_id: str, ports: Ports, told: Told) -> None:
    request = Request(
        actor=Actor(by, Role.OPERATOR),
        command_id=str(ports.names.new_event_id()),
        correlation_id=run_id,
        route="ordertrail forget",
    )
    try:
        answer = await forget_personal_data(ForgetPersonalData(order_id), request, ports)
    except StreamUnreadableError:
        told.unreadable.append(order_id)
    else:
        told.now += answer is not None
