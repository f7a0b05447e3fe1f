"""Show the saga where an order stands, and store what follows: after every event and every timer.

Rule: what it decided is stored only if nothing that it looked at has moved. A crash before that
leaves nothing done, one after it nothing to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from commands.attempts import side_by_side, until_unmoved
from commands.envelopes import address_events
from commands.order.answers import order_answer
from commands.order.file import OrderFile, load_file, load_files
from commands.ports import Append, Ports, Request, Stream, VersionConflictError, Write
from domain.envelope import Actor, Role
from domain.events import EventOfOrder
from domain.fulfilment import on_call
from domain.fulfilment.saga import react
from domain.fulfilment.state import evolve
from domain.fulfilment.timing import Timing
from domain.fulfilment.waiting import next_timer
from domain.ids import OrderId

SAGA = Actor("fulfilment", Role.PROCESS)
ATTEMPTS = 20
"""Money, stock and parcels of one order may move at once; each time it is looked at anew."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What made the saga look: an event, or a timer.

    Attributes: name: the event's id, or the timer's; correlation_id: of what set it off.
    """

    name: str
    correlation_id: str
    traceparent: str | None = None


async def advance(
    causes: Mapping[OrderId, Cause], ports: Ports, timing: Timing
) -> Mapping[OrderId, datetime | None]:
    """Bring some orders as far as they go now; give when each is to be looked at again.

    Raises:
        StoreUnavailableError: some may have been brought on; asking again is safe.
    """
    files = await load_files(list(causes), ports)

    async def one(order_id: OrderId, cause: Cause, file: OrderFile) -> datetime | None:
        try:
            return await _advance(file, cause, ports, timing)
        except VersionConflictError:
            return await until_unmoved(
                lambda: _load_and_advance(order_id, cause, ports, timing), attempts=ATTEMPTS
            )

    pairs = zip(causes.items(), files, strict=True)
    timers = await side_by_side(one(*pair, file) for pair, file in pairs)
    return dict(zip(causes, timers, strict=True))


async def _load_and_advance(
    order_id: OrderId, cause: Cause, ports: Ports, timing: Timing
) -> datetime | None:
    return await _advance(await load_file(order_id, ports), cause, ports, timing)


async def _advance(file: OrderFile, cause: Cause, ports: Ports, timing: Timing) -> datetime | None:
    order, saga = file.order.state, file.fulfilment.state
    if order is None or not order.fulfilled_here:
        return None
    now = ports.clock.now()
    ran_out = () if saga is None else on_call.time_out(saga, now=now)
    for event in ran_out:
        saga = evolve(saga, event)
    reaction = react(order, saga, file.facts, now=now, timing=timing)
    mine = (*ran_out, *reaction.fulfilment)
    if mine or reaction:
        request = Request(
            actor=SAGA,
            command_id=f"{order.order_id}/{file.fulfilment.version + 1}",
            correlation_id=cause.correlation_id,
            route="fulfilment",
            traceparent=cause.traceparent,
        )
        writes: Sequence[tuple[Stream[Any], Sequence[EventOfOrder]]] = [
            (file.fulfilment, mine),
            (file.order, reaction.order),
            (file.returns, reaction.returns),
            (file.shipments, reaction.shipments),
        ]
        await store_reaction(file, writes, request, ports, caused_by=cause.name)
    for event in reaction.fulfilment:
        saga = evolve(saga, event)
    return None if saga is None else next_timer(saga)


async def store_reaction(
    file: OrderFile,
    decided: Sequence[tuple[Stream[Any], Sequence[EventOfOrder]]],
    request: Request,
    ports: Ports,
    *,
    caused_by: str | None = None,
) -> None:
    written = [(stream, events) for stream, events in decided if events]
    streams = [stream for stream, _ in written]
    now = ports.clock.now()
    answer = order_answer(file.order)
    order = file.order.state
    writes = [
        Write(
            stream,
            address_events(events, request, ports, occurred_at=now, caused_by=caused_by),
            answer.order_id,
        )
        for stream, events in written
    ]
    # All of the file was looked at, so none of it may have moved.
    read = [stream for stream in file.streams if stream not in streams]
    await ports.store.append(
        Append(
            writes=writes,
            read=read,
            request=request,
            answer=answer,
            customer_id=None if order is None else order.customer_id,
        )
    )
