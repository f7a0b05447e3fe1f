"""What the reading side asks of its adapters in `infrastructure`.

Rule: a document is sent as its projector wrote it, byte for byte; the surface adds only headers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from domain.envelope import Actor
from domain.errors import UnavailableError
from domain.ids import CustomerId, OrderId, StreamId


@dataclass(frozen=True, slots=True)
class OrderView:
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
    """

    customer_id: CustomerId | None
    status: str | None
    external_reference: str | None
    limit: int
    after: str | None


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Some orders, newest first.

    Attributes:
        bodies: JSON documents.
        next_after: sort key of the last item, if there are more; visible ASCII, 256 at most.
        as_of_position: the log position that the views had reached.
    """

    bodies: Sequence[bytes]
    next_after: str | None
    as_of_position: int


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One recorded event, as people read it. `data` holds JSON values only."""

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
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class OrderHistoryPage:
    customer_id: CustomerId
    items: Sequence[HistoryItem]


class ViewsUnavailableError(UnavailableError):
    """The read models can't be reached; the event store may still know the answer."""

    def __init__(self, detail: str = "does not answer") -> None:
        super().__init__("redis", detail)


class TooManyFoldsError(Exception):
    """As many orders are being folded from the event store as is allowed at one time."""


class OrderParkedError(Exception):
    """An event of the order can't be applied by this version, so nothing true can be shown."""


class OrderViews(Protocol):
    async def find(
        self, order_id: OrderId, *, min_position: int, wait_s: float
    ) -> OrderView | None:
        """Give the order as of `min_position` or later; None where there is no such order.

        Takes the read model if it is new enough, waits up to `wait_s` seconds for it, and then
        folds the order from the event store.

        Raises:
            UnavailableError: neither can be reached.
            TooManyFoldsError: the event store has enough to do.
            OrderParkedError: the order can't be folded.
        """
        ...

    async def list(self, query: OrderQuery) -> OrderPage:
        """Give one page from the read models, newest first.

        Raises:
            DomainError: `bad_cursor`, where `after` is no sort key of this adapter's making.
            ViewsUnavailableError: the read models can't be reached.
        """
        ...


class OrderHistory(Protocol):
    async def history(self, order_id: OrderId, *, show_personal: bool) -> OrderHistoryPage | None:
        """Give every event of the order, oldest first, from the event store; None without any.

        Personal data in it is masked unless `show_personal`.

        Raises:
            UnavailableError: the event store can't be reached.
        """
        ...


@dataclass(frozen=True, slots=True)
class QueryPorts:
    """All that the query side's surface may use."""

    views: OrderViews
    history: OrderHistory
