"""The query side's ports over the fake event store, by the real projection."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Literal

import orjson

from domain.errors import DomainError
from domain.ids import CustomerId, OrderId
from domain.order.events import OrderPlaced
from projections.order.document import OrderDocument, fold
from projections.order.lists import sort_key
from projections.ports import (
    HistoryItem,
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
        self, order_id: OrderId, *, min_position: int, wait_s: float
    ) -> OrderView | None:
        self.waits.append(wait_s)
        seen = None if self.is_down else self._projected(order_id)
        if seen is not None and seen.position >= min_position:
            return _view(seen, "redis")
        if not self.folds_allowed:
            raise TooManyFoldsError
        folded = fold(self._store.of_order(order_id))
        return None if folded is None else _view(folded, "event-store")

    async def list(self, query: OrderQuery) -> OrderPage:
        if self.is_down:
            raise ViewsUnavailableError
        if query.after is not None and "." not in query.after:
            raise DomainError("bad_cursor", "not a sort key")
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
    def __init__(self, store: InMemoryEventStore) -> None:
        self._store = store

    async def history(self, order_id: OrderId, *, show_personal: bool) -> OrderHistoryPage | None:
        recorded = self._store.of_order(order_id)
        if not recorded:
            return None
        placed = recorded[0].event
        assert isinstance(placed, OrderPlaced)
        items = [
            HistoryItem(
                position=r.position,
                event_id=r.envelope.event_id,
                type=r.type,
                stream=r.stream,
                version=r.version,
                occurred_at=r.envelope.occurred_at,
                recorded_at=r.recorded_at,
                actor=r.envelope.actor,
                correlation_id=r.envelope.correlation_id,
                causation_id=r.envelope.causation_id,
                data=_data(asdict(r.event), show_personal=show_personal),
            )
            for r in recorded
        ]
        return OrderHistoryPage(placed.customer_id, items)


def _data(event: Mapping[str, object], *, show_personal: bool) -> Mapping[str, object]:
    if show_personal or "personal" not in event:
        return event
    return {**event, "personal": "***"}


def _matches(document: OrderDocument, query: OrderQuery) -> bool:
    body = document.body
    return (
        query.customer_id in (None, document.customer_id)
        and query.status in (None, body["status"])
        and query.external_reference in (None, body["external_reference"])
    )


def _view(document: OrderDocument, source: Literal["redis", "event-store"]) -> OrderView:
    return OrderView(
        body=orjson.dumps(document.body),
        position=document.position,
        customer_id=CustomerId(document.body["customer"]["id"]),
        source=source,
    )
