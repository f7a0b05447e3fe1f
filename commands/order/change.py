"""What every command on an order shares: load its file, decide, and store that or decide again.

Rule: a decision is stored only if no stream that it rests on has moved meanwhile. So of two
commands that race and exclude each other (dispatch and cancel), exactly one wins.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from domain.order.state import Order


@dataclass(frozen=True, slots=True)
class Target:
    """Which order a command is about.

    Attributes:
        owner: the customer whose order it must be; None: anybody's.
        if_position: the log position of the view that the caller decided on; None: any.
        named: what the caller named: the order, or what of it. Of somebody else's it is said
            that there is none, as of one that there isn't.
    """

    order_id: OrderId
    owner: CustomerId | None = None
    if_position: int | None = None
    named: str = "order"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided.

    Attributes:
        stream: where the events go.
        read: the other streams that it rests on.
        body: what the answer says besides the order.
        unique: names that the order holds from now on.
        occurred_at: business time, of all events or of each; now by default.
    """

    stream: Stream[Any]
    events: Sequence[EventOfOrder]
    read: Sequence[Stream[Any]] = ()
    body: Mapping[str, str | int] = field(default_factory=lambda: MappingProxyType({}))
    unique: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    occurred_at: datetime | Sequence[datetime] | None = None


async def change_order(
    target: Target,
    decide: Callable[[Order, OrderFile], Decision | Awaitable[Decision]],
    request: Request,
    ports: Ports,
) -> Answer:
    """Decide on an order and store that; `decide` may await what it rests on besides the file.

    Raises:
        DomainError: `order_not_found`, or of what else was named (also another customer's);
            `stale_view`; what `decide` refuses, with the legal `actions` where the order can't do
            that now; `idempotency_key_reused`; `too_much_contention`.
        StoreUnavailableError: nothing is known to be stored.
    """

    async def attempt() -> Answer:
        file = await load_file(target.order_id, ports)
        order = _owned(file, target)
        # After the load: whoever changed what was loaded has stored their answer by then.
        earlier = await ports.store.find_answer(request)
        if earlier is not None:
            return earlier
        file.require_view(target.if_position)
        try:
            decided = decide(order, file)
            decision = decided if isinstance(decided, Decision) else await decided
        except DomainError as error:
            if error.code == "illegal_transition":
                legal = legal_actions(order, file.facts, request.actor.role)
                error.extra |= {"order_status": str(order.status), "actions": legal}
            raise
        append = _append(file, order, decision, request, ports)
        if not decision.events:
            return replace(append.answer, position=file.position)
        return await ports.store.append(append)

    async with ports.turns.of(order_stream(target.order_id)):
        return await until_unmoved(attempt)


def not_found(named: str) -> DomainError:
    """Make the refusal of what isn't there or is somebody else's; both sound the same."""
    return DomainError(f"{named}_not_found", f"there is no such {named}")


def _owned(file: OrderFile, target: Target) -> Order:
    order = file.order.state
    if order is None or target.owner not in (None, order.customer_id):
        raise not_found(target.named)
    return order


def _append(
    file: OrderFile, order: Order, decision: Decision, request: Request, ports: Ports
) -> Append:
    at = decision.occurred_at or ports.clock.now()
    times = [at] * len(decision.events) if isinstance(at, datetime) else at
    addressed = [
        one
        for event, time in zip(decision.events, times, strict=True)
        for one in address_events([event], request, ports, occurred_at=time)
    ]
    of_order = decision.events if decision.stream is file.order else ()
    answer = order_answer(file.order, of_order)  # type: ignore[arg-type]  # its own stream's events
    return Append(
        writes=[Write(decision.stream, addressed, order.order_id)],
        read=decision.read,
        request=request,
        answer=Answer({**answer.body, **decision.body}),
        customer_id=order.customer_id,
        unique=decision.unique,
        holder=order.order_id,
    )
