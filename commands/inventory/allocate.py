"""What orders get of the stock: many orders in one decision and one append.

Rule: all stock events of an order, and the event of its allocation, are stored together or not at
all, and only if no stream that they rest on has moved. Orders that want the same hot item are
decided on one after the other in memory, so they don't wait for one another's commits.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commands.attempts import until_unmoved
from commands.envelopes import address_events
from commands.inventory.stock import load_items, load_streams
from commands.ports import Answer, Append, Ports, Request, Stream, Write
from domain.envelope import Actor, Envelope, Role
from domain.events import DomainEvent
from domain.fulfilment.events import FulfilmentStepStarted, Step
from domain.fulfilment.overview import facts_of
from domain.fulfilment.standing import to_leave
from domain.fulfilment.state import FULFILMENT, Fulfilment
from domain.ids import (
    OrderId,
    Sku,
    StreamId,
    allocation_stream,
    fulfilment_stream,
    order_stream,
    shipments_stream,
    stock_stream,
)
from domain.inventory import decisions
from domain.inventory.allocation import ALLOCATION, Allocation
from domain.inventory.allocation import evolve as evolve_allocation
from domain.inventory.decisions import NOTHING, Changes, WantedLine
from domain.inventory.events import AllocationEvent, StockEvent
from domain.inventory.state import StockItem
from domain.inventory.state import evolve as evolve_item
from domain.order.state import ORDER, Order
from domain.returns.events import ReturnReceived
from domain.shipment.events import ShipmentDispatched
from domain.shipment.state import SHIPMENTS, Shipments

INVENTORY = Actor("inventory", Role.PROCESS)
ATTEMPTS = 50
"""Each conflict means that somebody else got on: two processes at one hot item meet often."""
MOST_LINES = 5_000
"""Of the orders of one append: a hundred orders of a thousand lines would take longer to read than
a read may, and longer to store than the log may be held."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that stock is asked for: a step of the saga, a parcel that left, a receipt."""

    order_id: OrderId
    event: FulfilmentStepStarted | ShipmentDispatched | ReturnReceived
    envelope: Envelope


@dataclass(slots=True)
class _Order:
    """One order's streams; `shipments` and `saga` are only read."""

    order: Stream[Order]
    allocation: Stream[Allocation]
    shipments: Stream[Shipments]
    saga: Stream[Fulfilment]


class _Desk:
    """All that some asks concern, as loaded, and as it becomes while they are decided."""

    def __init__(
        self, orders: Mapping[OrderId, _Order], items: Iterable[Stream[StockItem]]
    ) -> None:
        self.orders = orders
        self.items = {item.stream: item for item in items}
        self.states: dict[StreamId, Any] = {one.stream: one.state for one in self.items.values()}
        self.states |= {one.allocation.stream: one.allocation.state for one in orders.values()}
        self.events: dict[StreamId, list[tuple[Envelope, DomainEvent]]] = defaultdict(list)

    def allocation(self, order_id: OrderId) -> Allocation | None:
        found: Allocation | None = self.states[allocation_stream(order_id)]
        return found

    def items_of(self, skus: set[Sku]) -> Sequence[StockItem]:
        return [
            item
            for item in self.states.values()
            if isinstance(item, StockItem) and item.sku in skus
        ]

    def take_in(self, changes: Changes, ask: Ask, ports: Ports) -> None:
        request = _request(ask)
        cause = str(ask.envelope.event_id)
        now = ports.clock.now()
        for stream, events in changes.items():
            self.events[stream] += address_events(
                events, request, ports, occurred_at=now, caused_by=cause
            )
            for event in events:
                self.states[stream] = _evolved(self.states[stream], event)


async def allocate(asks: Sequence[Ask], ports: Ports) -> None:
    """Do what is asked for, in order; what was done before is not done again.

    Raises:
        DomainError: one of them can't be done (`stock_not_received`, ...), nor is what is behind
            it, nor what would have been stored together with it.
        StoreUnavailableError: some of it may be done; asking again is safe.
    """
    left = asks

    async def attempt() -> Sequence[Ask]:
        orders = await _load_orders(left, ports)
        some = _as_many_as_fit(left, orders)
        desk = await _load_desk(some, orders, ports)
        for ask in some:
            desk.take_in(_decide(ask, desk), ask, ports)
        if desk.events:
            await ports.store.append(_append(desk, some))
        return left[len(some) :]

    while left:
        left = await until_unmoved(attempt, attempts=ATTEMPTS)


def _decide(ask: Ask, desk: _Desk) -> Changes:
    allocation = desk.allocation(ask.order_id)
    match ask.event:
        case ShipmentDispatched(shipment_id=shipment_id):
            if allocation is None:
                return NOTHING  # its stock is none of ours
            lines = _lines_of(desk.orders[ask.order_id].shipments.state, shipment_id)
            items = desk.items_of({part.sku for part in allocation.parts})
            return decisions.ship(items, allocation, shipment_id=shipment_id, lines=lines)
        case ReturnReceived(return_id=return_id, receipt_number=number, lines=received):
            if allocation is None:
                return NOTHING
            subject = f"{return_id}/{number}"
            return decisions.restock(allocation, subject=subject, lines=received)
        case FulfilmentStepStarted():
            return _step(ask.event, allocation, desk)


def _step(event: FulfilmentStepStarted, allocation: Allocation | None, desk: _Desk) -> Changes:
    one = desk.orders[event.order_id]
    order = one.order.state
    if order is None:
        raise AssertionError(f"{one.order.stream} has a saga and no order")
    match event.step:
        case Step.RESERVE:
            wanted = [
                WantedLine(line.line_number, line.sku, order.remaining(line))
                for line in order.lines
            ]
            items = desk.items_of({line.sku for line in wanted})
            if event.due_at is None:
                raise AssertionError("a reservation has a time to live")
            return decisions.reserve(
                items, allocation, order_id=event.order_id, lines=wanted, expires_at=event.due_at
            )
        case Step.COMMIT:
            return NOTHING if allocation is None else decisions.commit(allocation)
        case Step.RELEASE if event.subject and allocation is not None:
            facts = facts_of(
                allocation=allocation, shipments=one.shipments.state, payment=None, returns=None
            )
            return decisions.release_unwanted(allocation, wanted=to_leave(order, facts))
        case Step.RELEASE if allocation is not None and _ran_out(one.saga.state):
            return decisions.expire(allocation) or decisions.release(
                allocation, order_id=event.order_id
            )
        case Step.RELEASE:
            return decisions.release(allocation, order_id=event.order_id)
        case _:
            return NOTHING


def _is_of_lines(ask: Ask) -> bool:
    """Whether it rests on where the order's parcels are: what came back is kept apart."""
    event = ask.event
    if not isinstance(event, FulfilmentStepStarted):
        return False
    return event.step is Step.RELEASE and event.subject != ""


def _ran_out(saga: Fulfilment | None) -> bool:
    reserve = None if saga is None else saga.of(Step.RESERVE)
    return reserve is not None and reserve.timed_out


def _as_many_as_fit(asks: Sequence[Ask], orders: Mapping[OrderId, _Order]) -> Sequence[Ask]:
    """Give as many as there is room for, the first in any case."""
    lines = 0
    for count, ask in enumerate(asks):
        lines += len(_order_lines(orders[ask.order_id]))
        if count and lines > MOST_LINES:
            return asks[:count]
    return asks


async def _load_orders(asks: Sequence[Ask], ports: Ports) -> Mapping[OrderId, _Order]:
    ids = list(dict.fromkeys(ask.order_id for ask in asks))
    wanted = [
        one
        for order_id in ids
        for one in (
            (order_stream(order_id), ORDER),
            (allocation_stream(order_id), ALLOCATION),
            (shipments_stream(order_id), SHIPMENTS),
            (fulfilment_stream(order_id), FULFILMENT),
        )
    ]
    loaded = iter(await ports.store.load_all(wanted))
    return {order_id: _Order(*(next(loaded) for _ in range(4))) for order_id in ids}


async def _load_desk(asks: Sequence[Ask], orders: Mapping[OrderId, _Order], ports: Ports) -> _Desk:
    """Load the stock that some asks concern, and lay it beside their orders."""
    concerned = {ask.order_id: orders[ask.order_id] for ask in asks}
    reserving = {
        line.sku
        for ask in asks
        if isinstance(ask.event, FulfilmentStepStarted) and ask.event.step is Step.RESERVE
        for line in _order_lines(orders[ask.order_id])
    }
    items = {item.stream: item for item in await load_items(sorted(reserving), ports.store)}
    held = {
        stock_stream(part.location, part.sku)
        for one in concerned.values()
        if one.allocation.state is not None
        for part in one.allocation.state.parts
    }
    rest = await load_streams(sorted(held - set(items)), ports.store)
    return _Desk(concerned, [*items.values(), *rest])


def _append(desk: _Desk, asks: Sequence[Ask]) -> Append:
    streams: dict[StreamId, Stream[Any]] = dict(desk.items)
    owners: dict[StreamId, OrderId] = {}
    for order_id, one in desk.orders.items():
        streams[one.allocation.stream] = one.allocation
        owners[one.allocation.stream] = order_id
    written = [
        Write(streams[stream], events, owners.get(stream))
        for stream, events in sorted(desk.events.items())
    ]
    read = [stream for name, stream in streams.items() if name not in desk.events]
    read += [one.order for one in desk.orders.values()]
    read += [
        desk.orders[order_id].shipments
        for order_id in {ask.order_id for ask in asks if _is_of_lines(ask)}
    ]
    return Append(writes=written, read=read, request=_request(asks[0]), answer=Answer({}))


def _request(ask: Ask) -> Request:
    return Request(
        actor=INVENTORY,
        command_id=f"{ask.order_id}/{_name(ask.event)}",
        correlation_id=ask.envelope.correlation_id,
        route="inventory",
        traceparent=ask.envelope.traceparent,
    )


def _name(event: FulfilmentStepStarted | ShipmentDispatched | ReturnReceived) -> str:
    match event:
        case FulfilmentStepStarted(step=step, subject=subject, attempt=attempt):
            return "/".join(part for part in (step, subject, str(attempt)) if part)
        case ShipmentDispatched(shipment_id=shipment_id):
            return f"ship/{shipment_id}"
        case ReturnReceived(return_id=return_id, receipt_number=number):
            return f"restock/{return_id}/{number}"


def _evolved(state: Any, event: StockEvent | AllocationEvent) -> Any:
    if isinstance(event, AllocationEvent):
        return evolve_allocation(state, event)
    return evolve_item(state, event)


def _order_lines(one: _Order) -> Sequence[Any]:
    return () if one.order.state is None else one.order.state.lines


def _lines_of(shipments: Shipments | None, shipment_id: Any) -> Sequence[Any]:
    found = None if shipments is None else shipments.find(shipment_id)
    if found is None:
        raise AssertionError("a parcel that left was created")
    return found.lines
