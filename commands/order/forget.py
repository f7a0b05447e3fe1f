"""Say in an order's stream that its personal data was forgotten.

The data is gone with its customer's key; this is what tells everybody who shows or keeps the
order, in the order's own history, who did it and when.
"""

from dataclasses import dataclass

from commands.attempts import until_unmoved
from commands.envelopes import address_events
from commands.order.answers import order_answer
from commands.ports import Answer, Append, Ports, Request, Write
from domain.errors import DomainError
from domain.ids import OrderId, order_stream
from domain.order import decisions
from domain.order.state import ORDER


@dataclass(frozen=True, slots=True)
class ForgetPersonalData:
    order_id: OrderId


async def forget_personal_data(
    command: ForgetPersonalData, request: Request, ports: Ports
) -> Answer | None:
    """Decide and store it; None: it was said before, and nothing is appended.

    Raises:
        DomainError: `order_not_found`; `too_much_contention` after five version conflicts.
        StoreUnavailableError: nothing is known to be stored; asking again is safe.
    """
    return await until_unmoved(lambda: _try(command, request, ports))


async def _try(command: ForgetPersonalData, request: Request, ports: Ports) -> Answer | None:
    stream = await ports.store.load(order_stream(command.order_id), ORDER)
    order = stream.state
    if order is None:
        raise DomainError("order_not_found", "there is no such order")
    events = decisions.forget_personal_data(order)
    if not events:
        return None
    addressed = address_events(events, request, ports, occurred_at=ports.clock.now())
    return await ports.store.append(
        Append(
            writes=[Write(stream, addressed, order.order_id)],
            request=request,
            answer=order_answer(stream, events),
        )
    )
