"""One order's past, read from the event store, a bounded number of reads at one time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from domain.errors import DomainError
from domain.ids import OrderId
from infrastructure.event_store.bounded_reads import BoundedReads
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.redis.stored_document import body_bytes
from projections.order.history import compare, history_page
from projections.order.past import Events, Point, fold_until
from projections.ports import OrderDifference, OrderHistoryPage, OrderView


@contextmanager
def named_by_event(reader: OrderReader, order_id: OrderId) -> Iterator[None]:
    """Tell a fold of an order that fails by the event at which it does.

    Events that can be read each by itself may not fit together: one was deleted, or given to
    another order. A failure that folding the order anew does not meet is a fault of ours.

    Raises:
        UnreadableEventError: an event can't be applied, or one is missing before it.
    """
    try:
        yield
    except Exception:
        reader.fold(order_id)
        raise


class EventStoreOrderHistory:
    """Implements `projections.ports.OrderHistory`."""

    def __init__(self, reader: OrderReader, *, at_once: int, waiting: int) -> None:
        self._reader = reader
        self._reads = BoundedReads("history", at_once=at_once, waiting=waiting)

    async def history(
        self, order_id: OrderId, *, show_personal: bool, after: int, limit: int
    ) -> OrderHistoryPage | None:
        def read() -> OrderHistoryPage | None:
            events = self._reader.events(order_id, open_sealed=show_personal)
            with named_by_event(self._reader, order_id):
                return history_page(events, after=after, limit=limit)

        return await self._reads.run(read)

    async def as_of(
        self, order_id: OrderId, point: Point, *, show_personal: bool
    ) -> OrderView | None:
        def read() -> OrderView | None:
            events = self._recorded(order_id, point, show_personal=show_personal)
            with named_by_event(self._reader, order_id):
                document = fold_until(events, point)
            if document is None:
                return None
            body = body_bytes(document)
            return OrderView(body, document.position, document.customer_id, "event-store")

        return await self._reads.run(read)

    async def difference(
        self, order_id: OrderId, since: Point, to: Point, *, show_personal: bool
    ) -> OrderDifference | None:
        def read() -> OrderDifference | None:
            events = self._recorded(order_id, since, to, show_personal=show_personal)
            with named_by_event(self._reader, order_id):
                return compare(fold_until(events, since), fold_until(events, to))

        return await self._reads.run(read)

    def _recorded(self, order_id: OrderId, *points: Point, show_personal: bool) -> Events:
        """Read the order, unless a point lies beyond the log: tomorrow it might show another."""
        for point in points:
            if isinstance(point, datetime):
                is_recorded = point <= self._reader.clock()
            else:
                is_recorded = point is None or point <= self._reader.head()
            if not is_recorded:
                raise DomainError("not_recorded_yet", "the log has not come as far as that")
        return self._reader.events(order_id, open_sealed=show_personal)
