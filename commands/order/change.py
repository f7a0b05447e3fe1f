"""What every command on an order shares: load its file, decide, and store that or decide again.

Rule: a decision is stored only if no stream that it rests on has moved meanwhile. So of two
commands that race and exclude each other (dispatch and cancel), exactly one wins.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from commands.attempts import until_unmoved
from commands.envelopes import address_events
from commands.order.answers import order_answer
from commands.order.file import OrderFile, load_file
from commands.ports import Answer, Append, Ports, Request, Stream, Write
from domain.actions import legal_actions
from domain.errors import DomainError
from domain.events import EventOfOrder
from domain.ids import CustomerId, OrderId, order_stream
from domain.order.events import OrderPlaced, ShippingAddressChanged
from domain.order.state import Order


@dataclass(frozen=True, slots=True)
class Target:
    """Which order a command is about.

    Attributes:
        owner: the customer whose order it must be; None: anybody's.
        if_position: the log position of the view that the caller decided on; None: any.
    """

    order_id: OrderId
    owner: CustomerId | None = None
    if_position: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided.

    Attributes:
        stream: where the events go.
        read: the other streams that it rests on.
        body: what the answer says besides the order.
        unique: names that the order holds from now on.
        occurred_at: business time; now by default.
    """

    stream: Stream[Any]
    events: Sequence[EventOfOrder]
    read: Sequence[Stream[Any]] = ()
    body: Mapping[str, str | int] = field(default_factory=lambda: MappingProxyType({}))
    unique: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    occurred_at: datetime | None = None


async def change_order(
    target: Target,
    decide: Callable[[Order, OrderFile], Decision],
    request: Request,
    ports: Ports,
) -> Answer:
    """Decide on an order and store that.

    Raises:
        DomainError: `order_not_found` (also for another customer's); `stale_view`; what `decide`
            refuses, with the legal `actions` where the order can't do that now;
            `idempotency_key_reused`; `too_much_contention`.
        StoreUnavailableError: nothing is known to be stored.
    """

    async def attempt() -> Answer:
        file = await load_file(target.order_id, ports)
        order = _owned(file, target)
        # After the load: whoever changed what was loaded has stored their answer by then.
        earlier = await ports.store.find_answer(request)
        if earlier is not None:
            return earlier
        if target.if_position not in (None, file.position):
            raise DomainError(
                "stale_view", "the order has changed since", extra={"position": file.position}
            )
        try:
            decision = decide(order, file)
        except DomainError as error:
            if error.code == "illegal_transition":
                legal = legal_actions(order, file.facts, request.actor.role)
                error.extra |= {"order_status": str(order.status), "actions": legal}
            raise
        return await ports.store.append(_append(file, order, decision, request, ports))

    async with ports.turns.of(order_stream(target.order_id)):
        return await until_unmoved(attempt)


def _owned(file: OrderFile, target: Target) -> Order:
    order = file.order.state
    if order is None or target.owner not in (None, order.customer_id):
        raise DomainError("order_not_found", "there is no such order")
    return order


def _append(
    file: OrderFile, order: Order, decision: Decision, request: Request, ports: Ports
) -> Append:
    occurred_at = decision.occurred_at or ports.clock.now()
    addressed = address_events(decision.events, request, ports, occurred_at=occurred_at)
    of_order = decision.events if decision.stream is file.order else ()
    answer = order_answer(file.order, of_order)  # type: ignore[arg-type]  # its own stream's events
    personal = any(isinstance(one, OrderPlaced | ShippingAddressChanged) for one in decision.events)
    return Append(
        writes=[Write(decision.stream, addressed, order.order_id)],
        read=decision.read,
        request=request,
        answer=Answer({**answer.body, **decision.body}),
        customer_id=order.customer_id if personal else None,
        unique=decision.unique,
        holder=order.order_id,
    )
