"""The query side's ports over the fake event store, by the real projection."""

from datetime import UTC, datetime
from typing import Literal

import orjson

from domain.envelope import Recorded
from domain.errors import DomainError
from domain.events import DomainEvent
from domain.ids import CustomerId, OrderId
from domain.personal import SEALED, mask
from projections.order.document import OrderDocument, fold
from projections.order.history import compare, history_page
from projections.order.lists import lists_of, matches, sort_bound, sort_key
from projections.order.past import Events, Point, fold_until, forgotten
from projections.ports import (
    OrderDifference,
    OrderHistoryPage,
    OrderPage,
    OrderQuery,
    OrderView,
    TooManyFoldsError,
    ViewsUnavailableError,
)
from tests.fakes.event_store import InMemoryEventStore


class InMemoryOrderViews:
    """Views that lag behind as far as a test says.

    Attributes:
        projected: log position that the read models have reached.
        is_down: the read models don't answer.
        folds_allowed: whether the event store takes one more fold.
        waits: how long each caller was ready to wait, in seconds.
    """

    def __init__(self, store: InMemoryEventStore) -> None:
        self._store = store
        self.projected = 0
        self.is_down = False
        self.folds_allowed = True
        self.waits: list[float] = []

    def catch_up(self) -> None:
        self.projected = len(self._store.log)

    async def find(
        self, order_id: OrderId, *, owner: CustomerId | None, min_position: int, wait_s: float
    ) -> OrderView | None:
        self.waits.append(wait_s)
        seen = None if self.is_down else self._projected(order_id)
        if seen is not None and seen.position >= min_position and _is_of(owner, seen):
            return _view(seen, "redis")
        if not self.folds_allowed:
            raise TooManyFoldsError
        folded = fold(self._store.of_order(order_id))
        if min_position > len(self._store.log):
            raise DomainError("not_recorded_yet", "beyond the log")
        return None if folded is None or not _is_of(owner, folded) else _view(folded, "event-store")

    async def list(self, query: OrderQuery) -> OrderPage:
        if self.is_down:
            raise ViewsUnavailableError
        ids = {r.order_id for r in self._store.log[: self.projected] if r.order_id is not None}
        found = [d for d in map(self._projected, ids) if d is not None and _matches(d, query)]
        found.sort(key=sort_key, reverse=True)
        found = [d for d in found if query.after is None or sort_key(d) < query.after]
        page = found[: query.limit]
        return OrderPage(
            bodies=[orjson.dumps(document.body) for document in page],
            next_after=sort_key(page[-1]) if len(found) > len(page) else None,
            as_of_position=self.projected,
        )

    def _projected(self, order_id: OrderId) -> OrderDocument | None:
        return fold(r for r in self._store.log[: self.projected] if r.order_id == order_id)


class InMemoryOrderHistory:
    """The past, by the real rules. Attributes: reads_allowed: whether it takes one more read."""

    def __init__(self, store: InMemoryEventStore) -> None:
        self._store = store
        self.reads_allowed = True

    async def history(
        self, order_id: OrderId, *, show_personal: bool, after: int, limit: int
    ) -> OrderHistoryPage | None:
        events = self._told(order_id, show_personal=show_personal)
        return history_page(events, after=after, limit=limit)

    async def as_of(
        self, order_id: OrderId, point: Point, *, show_personal: bool
    ) -> OrderView | None:
        self._require_recorded(point)
        document = fold_until(self._told(order_id, show_personal=show_personal), point)
        return None if document is None else _view(document, "event-store")

    async def difference(
        self, order_id: OrderId, since: Point, to: Point, *, show_personal: bool
    ) -> OrderDifference | None:
        for point in (since, to):
            self._require_recorded(point)
        events = self._told(order_id, show_personal=show_personal)
        return compare(fold_until(events, since), fold_until(events, to))

    def _told(self, order_id: OrderId, *, show_personal: bool) -> Events:
        if not self.reads_allowed:
            raise TooManyFoldsError
        events = self._store.of_order(order_id)
        return forgotten([e if show_personal else _sealed(e) for e in events])

    def _require_recorded(self, point: Point) -> None:
        if isinstance(point, datetime):
            is_recorded = point <= datetime.now(UTC)
        else:
            is_recorded = point is None or point <= len(self._store.log)
        if not is_recorded:
            raise DomainError("not_recorded_yet", "beyond the log")


def _is_of(owner: CustomerId | None, document: OrderDocument) -> bool:
    return owner in (None, document.customer_id)


def _sealed(recorded: Recorded[DomainEvent]) -> Recorded[DomainEvent]:
    return recorded._replace(event=mask(recorded.event, SEALED))


def _matches(document: OrderDocument, query: OrderQuery) -> bool:
    key = sort_key(document)
    return (
        matches(lists_of(document), query)
        and (query.created_from is None or key >= sort_bound(query.created_from))
        and (query.created_to is None or key < sort_bound(query.created_to))
    )


def _view(document: OrderDocument, source: Literal["redis", "event-store"]) -> OrderView:
    return OrderView(
        body=orjson.dumps(document.body),
        position=document.position,
        customer_id=CustomerId(document.body["customer"]["id"]),
        source=source,
    )
