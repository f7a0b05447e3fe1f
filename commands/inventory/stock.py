"""What people do with stock: list an item, receive pieces, put a count right."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from commands.attempts import until_unmoved
from commands.envelopes import address_events
from commands.ports import Answer, Append, EventStore, Ports, Request, Stream, Write
from domain.errors import DomainError
from domain.ids import Sku, StreamId, sku_of_stream, stock_stream, stock_streams_prefix
from domain.inventory import decisions
from domain.inventory.events import AdjustReason, StockEvent
from domain.inventory.location import MAIN, Location
from domain.inventory.state import STOCK_ITEM, StockItem, evolve
from domain.money import Currency


@dataclass(frozen=True, slots=True)
class ListItem:
    """A sku to be kept at a location.

    Attributes:
        on_hand: pieces that lie there when it is listed; received, not set.
        allow_backorder: None: as before; a new item has none.
    """

    sku: Sku
    name: str
    unit_price_minor: int
    currency: Currency
    on_hand: int = 0
    location: Location = MAIN
    allow_backorder: bool | None = None


async def list_item(command: ListItem, request: Request, ports: Ports) -> Answer:
    """Keep a sku at a location, or say that its name, price or backorders have changed.

    Raises:
        DomainError: the rules of `decisions.list_item` and `receive`; `too_much_contention`.
        StoreUnavailableError: nothing is known to be stored.
    """

    def decide(item: StockItem | None) -> Sequence[StockEvent]:
        listed = decisions.list_item(
            item,
            sku=command.sku,
            location=command.location,
            name=command.name,
            unit_price_minor=command.unit_price_minor,
            currency=command.currency,
            allow_backorder=command.allow_backorder,
        )
        if item is not None or command.on_hand == 0:
            return listed
        return (*listed, *decisions.receive(evolve(None, listed[0]), quantity=command.on_hand))

    return await _change(command.sku, command.location, decide, request, ports)


async def receive_stock(
    sku: Sku, location: Location, quantity: int, request: Request, ports: Ports
) -> Answer:
    """Take in pieces. Raises as `list_item`; `stock_item_not_found`."""

    def decide(item: StockItem | None) -> Sequence[StockEvent]:
        return decisions.receive(_found(item), quantity=quantity)

    return await _change(sku, location, decide, request, ports)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Attributes: change: pieces, below zero for fewer."""

    change: int
    reason_code: AdjustReason
    reason: str


async def adjust_stock(
    sku: Sku, location: Location, adjustment: Adjustment, request: Request, ports: Ports
) -> Answer:
    """Put a count right. Raises as `list_item`; `stock_item_not_found`."""

    def decide(item: StockItem | None) -> Sequence[StockEvent]:
        return decisions.adjust(
            _found(item),
            change=adjustment.change,
            reason_code=adjustment.reason_code,
            reason=adjustment.reason,
        )

    return await _change(sku, location, decide, request, ports)


async def load_items(skus: Sequence[Sku], store: EventStore) -> Sequence[Stream[StockItem]]:
    """Load the items of some skus, at every location. Raises StoreUnavailableError."""
    wanted = set(skus)
    found = await store.streams_under([stock_streams_prefix(sku) for sku in wanted])
    # Skus may hold slashes: of `LAMP` and `LAMP/RED`, the latter's streams are under both prefixes.
    streams = [stream for stream in dict.fromkeys(found) if sku_of_stream(stream) in wanted]
    return await load_streams(streams, store)


async def load_streams(
    streams: Sequence[StreamId], store: EventStore
) -> Sequence[Stream[StockItem]]:
    """Load stock items by their streams. Raises StoreUnavailableError."""
    if not streams:
        return []
    return await store.load_all([(stream, STOCK_ITEM) for stream in streams])


async def _change(
    sku: Sku,
    location: Location,
    decide: Callable[[StockItem | None], Sequence[StockEvent]],
    request: Request,
    ports: Ports,
) -> Answer:
    async def attempt() -> Answer:
        stream = await ports.store.load(stock_stream(location, sku), STOCK_ITEM)
        earlier = await ports.store.find_answer(request)
        if earlier is not None:
            return earlier
        events = decide(stream.state)
        addressed = address_events(events, request, ports, occurred_at=ports.clock.now())
        return await ports.store.append(
            Append(
                writes=[Write(stream, addressed, order_id=None)],
                request=request,
                answer=_answer(stream, events),
            )
        )

    async with ports.turns.of(stock_stream(location, sku)):
        return await until_unmoved(attempt)


def _answer(stream: Stream[StockItem], events: Sequence[StockEvent]) -> Answer:
    item = stream.state
    for event in events:
        item = evolve(item, event)
    item = _found(item)
    return Answer(
        {
            "sku": item.sku,
            "location": item.location,
            "version": stream.version + len(events),
            "on_hand": item.on_hand,
            "available": item.available,
        }
    )


def _found(item: StockItem | None) -> StockItem:
    if item is None:
        raise DomainError("stock_item_not_found", "there is no such stock item")
    return item
