"""Stock as it is now, folded from the event store: its streams have snapshots, so that is quick."""

from collections.abc import Sequence

from commands.inventory.stock import load_items
from commands.ports import EventStore, Stream
from domain.ids import Sku
from domain.inventory.state import StockItem
from projections.ports import StockLevel


class EventStoreStockLevels:
    """Implements `projections.ports.StockLevels`."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def find(self, sku: Sku) -> Sequence[StockLevel]:
        streams = await load_items([sku], self._store)
        levels = [_level(one, one.state) for one in streams if one.state is not None]
        return sorted(levels, key=lambda level: level.location)


def _level(stream: Stream[StockItem], item: StockItem) -> StockLevel:
    return StockLevel(
        location=item.location,
        name=item.name,
        unit_price_minor=item.unit_price_minor,
        currency=item.currency,
        allow_backorder=item.allow_backorder,
        on_hand=item.on_hand,
        reserved=item.reserved,
        committed=item.committed,
        available=item.available,
        version=stream.version,
        position=stream.position,
    )
