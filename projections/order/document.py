"""The order as it is sent to callers: one document, folded from every stream of the order.

Each stream's version is kept beside the document, so that a known event is ignored and a
gap is noticed. What an event changes is in the module of its context: `course` (the order's own),
`payment`, `stock`, `parcels`, `returns`, `fulfilment`; what follows from that in `derived`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never
from uuid import UUID

from domain.envelope import Recorded
from domain.events import DomainEvent, EventOfOrder
from domain.fulfilment.events import FulfilmentEvent
from domain.ids import CustomerId, OrderId, StreamId
from domain.inventory.events import AllocationEvent, StockEvent
from domain.order.events import OrderEvent, OrderPlaced
from domain.payment.events import PaymentEvent
from domain.returns.events import ReturnEvent
from domain.shipment.events import ShipmentEvent
from projections.order import course, fulfilment, parcels, payment, returns, stock
from projections.order.body import Body, timestamp
from projections.order.derived import derive
from projections.order.forgetting import without_personal_data
from projections.order.placing import place

PROJECTION_VERSION = 7
"""Raised with every change of what `project` makes of the same events: see the runbook, Rebuild."""


class MisplacedError(Exception):
    """An event that can't be where it is: another order's, or a second beginning."""


class GapError(Exception):
    """An event of the stream is missing before this one: fold the order from the store."""


@dataclass(frozen=True, slots=True)
class OrderDocument:
    """A document and how far it has come.

    Attributes:
        body: JSON values, as sent.
        versions: the last version of each stream in it.
        position: the log position of the last event in it.
    """

    body: Body
    versions: Mapping[StreamId, int]

    @property
    def position(self) -> int:
        return int(self.body["position"])

    @property
    def order_id(self) -> OrderId:
        return OrderId(UUID(self.body["order_id"]))

    @property
    def customer_id(self) -> CustomerId:
        return CustomerId(self.body["customer"]["id"])


def project(
    document: OrderDocument | None, recorded: Recorded[DomainEvent]
) -> OrderDocument | None:
    """Take one more event in. One that is known already changes nothing.

    Raises:
        GapError: the event before it is missing.
        MisplacedError: it is another order's, or the order was placed before.
    """
    if document is None:
        return fold([recorded])
    versions = dict(document.versions)
    body = _take_in(dict(document.body), versions, recorded)
    if body is None:
        return document
    if not isinstance(recorded.event, FulfilmentEvent | AllocationEvent):
        derive(body)  # nothing follows from those two, and they are half of all events
    return OrderDocument(body, versions)


def fold(events: Iterable[Recorded[DomainEvent]]) -> OrderDocument | None:
    """Fold an order from its beginning; None if there are no events.

    What `project` would give event by event, without a document for each. Raises what it does.
    """
    body: Body | None = None
    versions: dict[StreamId, int] = {}
    for recorded in events:
        body = _take_in(body, versions, recorded) or body
    if body is None:
        return None
    derive(body)
    return OrderDocument(body, versions)


def forget(document: OrderDocument) -> OrderDocument:
    """Give a document as it is once its customer was forgotten, though no event in it says so."""
    body = without_personal_data(document.body)
    derive(body)
    return OrderDocument(body, document.versions)


def _take_in(
    body: Body | None, versions: dict[StreamId, int], recorded: Recorded[DomainEvent]
) -> Body | None:
    """Change a body and versions that nobody else has; None, with nothing changed: it is known."""
    known = versions.get(recorded.stream, 0)
    if recorded.version <= known:
        return None
    if recorded.version > known + 1:
        raise GapError(f"{recorded.stream} goes from {known} to {recorded.version}")
    event = recorded.event
    if isinstance(event, StockEvent) or event.order_id != recorded.order_id:
        raise MisplacedError(f"{recorded.stream} has an event that isn't this order's")
    if body is not None:
        _change(body, event, recorded)
    elif isinstance(event, OrderPlaced):
        body = place(event, recorded)
    else:
        raise GapError(f"{recorded.stream} begins with {recorded.type}")
    if isinstance(event, OrderEvent):
        body["version"] = recorded.version
    body["updated_at"] = timestamp(recorded.recorded_at)
    body["position"] = recorded.position
    versions[recorded.stream] = recorded.version
    return body


def _change(body: Body, event: EventOfOrder, recorded: Recorded[DomainEvent]) -> None:
    if isinstance(event, OrderPlaced):
        raise MisplacedError(f"{recorded.stream} was placed before")
    if isinstance(event, OrderEvent):
        course.change(body, event, recorded)
    elif isinstance(event, PaymentEvent):
        payment.change(body, event, recorded)
    elif isinstance(event, AllocationEvent):
        stock.change(body, event, recorded)
    elif isinstance(event, ShipmentEvent):
        parcels.change(body, event, recorded)
    elif isinstance(event, ReturnEvent):
        returns.change(body, event, recorded)
    elif isinstance(event, FulfilmentEvent):
        fulfilment.change(body, event, recorded)
    else:
        assert_never(event)
