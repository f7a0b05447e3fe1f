"""What the reading side asks of its adapters in `infrastructure`.

Rule: a document is sent as its projector wrote it, byte for byte; the surface adds only headers.
But for one: why an order is on hold is not for customers (`api/order/for_customers.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from domain.envelope import Actor
from domain.errors import UnavailableError
from domain.ids import CustomerId, OrderId, Sku, StreamId
from projections.order.difference import Change
from projections.order.past import Point


class OrderView(msgspec.Struct, frozen=True, gc=False):
    """One order as it is sent.

    Attributes:
        body: the JSON document, ready to send.
        position: log position of the last event in it; its ETag.
        source: where it came from, for `Order-View`.
    """

    body: bytes
    position: int
    customer_id: CustomerId
    source: Literal["redis", "event-store"]


@dataclass(frozen=True, slots=True)
class OrderQuery:
    """Which orders to list; a filter that is None lets all through.

    Attributes:
        after: the opaque sort key of the last item already seen (`OrderPage.next_after`).
        work: a `projections.order.lists.Work`.
        created_from, created_to: placed at or after the one, and before the other.
    """

    customer_id: CustomerId | None
    status: str | None
    external_reference: str | None
    limit: int
    after: str | None
    payment_status: str | None = None
    fulfillment_status: str | None = None
    return_status: str | None = None
    work: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Some orders, newest first.

    Attributes:
        bodies: JSON documents; fewer than asked for, or none, where few of many match.
        next_after: the sort key to go on after, if there may be more; visible ASCII, 256 at most.
        as_of_position: the log position that the views had reached.
    """

    bodies: Sequence[bytes]
    next_after: str | None
    as_of_position: int


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One recorded event, as people read it. `data` and `changes` hold JSON values only.

    Attributes:
        for_staff: the members of `data` in which people write what the document tells nobody.
        reason: why, in the words of who did it, where the event has a reason.
        command_id: the request that was decided; `correlation_id`: all that it set off.
        changes: what it changed in the document, beside what every event changes.
    """

    position: int
    event_id: UUID
    type: str
    stream: StreamId
    version: int
    occurred_at: datetime
    recorded_at: datetime
    actor: Actor
    correlation_id: str
    causation_id: str
    command_id: str
    reason: str | None
    data: Mapping[str, object]
    for_staff: Collection[str]
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class OrderHistoryPage:
    """Some events of an order, oldest first; `has_more`: there are later ones."""

    customer_id: CustomerId
    items: Sequence[HistoryItem]
    has_more: bool


@dataclass(frozen=True, slots=True)
class OrderDifference:
    """What changed in an order between two points.

    Attributes:
        from_position: of the last event in the first document; None: there was none yet.
        to_position: of the last event in the second.
    """

    customer_id: CustomerId
    from_position: int | None
    to_position: int
    changes: Sequence[Change]


class ViewsUnavailableError(UnavailableError):
    """The read models can't be reached; the event store may still know the answer."""

    def __init__(self, detail: str = "does not answer") -> None:
        super().__init__("redis", detail)


class TooManyFoldsError(Exception):
    """As many orders are being folded from the event store as is allowed at one time."""


class OrderParkedError(Exception):
    """An event of the order can't be applied, so nothing true can be shown."""


class OrderViews(Protocol):
    async def find(
        self, order_id: OrderId, *, owner: CustomerId | None, min_position: int, wait_s: float
    ) -> OrderView | None:
        """Give the order as of `min_position` or later; None where there is no such order.

        Takes the read model if it is new enough, waits up to `wait_s` seconds for it, and then
        folds the order from the event store. An order of anybody but `owner` (None: anybody's)
        is none, and takes as long to look for.

        Raises:
            DomainError: `not_recorded_yet`, where the log has not come to `min_position`.
            UnavailableError: neither can be reached.
            TooManyFoldsError: the event store has enough to do.
            OrderParkedError: the order can't be folded.
        """
        ...

    async def list(self, query: OrderQuery) -> OrderPage:
        """Give one page from the read models, newest first.

        Raises ViewsUnavailableError where the read models can't be reached.
        """
        ...


class OrderHistory(Protocol):
    """What an order was and how it came to be, from the event store.

    Personal data is masked unless `show_personal`. Every call raises

        UnavailableError: the event store can't be reached.
        TooManyFoldsError: the event store has enough to do.
        OrderParkedError: an event that this takes can't be read or applied.
    """

    async def history(
        self, order_id: OrderId, *, show_personal: bool, after: int, limit: int
    ) -> OrderHistoryPage | None:
        """Give up to `limit` events above position `after`; None: there is no such order."""
        ...

    async def as_of(
        self, order_id: OrderId, point: Point, *, show_personal: bool
    ) -> OrderView | None:
        """Give the order as it was at a point; None: there was no such order yet.

        Raises:
            DomainError: `not_recorded_yet`: the point lies beyond the log.
        """
        ...

    async def difference(
        self, order_id: OrderId, since: Point, to: Point, *, show_personal: bool
    ) -> OrderDifference | None:
        """Give what changed from one point to another; None: there was no order at the second.

        Raises:
            DomainError: `not_recorded_yet`: a point lies beyond the log.
        """
        ...


@dataclass(frozen=True, slots=True)
class StockLevel:
    """What there is of a sku at one location, as of log position `position`.

    Attributes: available: pieces for sale; below zero: promised before they are there.
    """

    location: str
    name: str
    unit_price_minor: int
    currency: str
    allow_backorder: bool
    on_hand: int
    reserved: int
    committed: int
    available: int
    version: int
    position: int


class StockLevels(Protocol):
    async def find(self, sku: Sku) -> Sequence[StockLevel]:
        """Give what there is at each location, by name; nothing for a sku that nobody listed.

        Raises:
            UnavailableError: the event store can't be reached.
        """
        ...


@dataclass(frozen=True, slots=True)
class QueryPorts:
    """All that the query side's surface may use."""

    views: OrderViews
    history: OrderHistory
    stock: StockLevels
