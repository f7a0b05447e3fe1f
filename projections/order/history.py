"""The history of one order for people: who did what, when and why, and what it changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import msgspec

from domain.envelope import Recorded
from domain.events import DomainEvent
from domain.order.events import (
    OrderCancellationRequested,
    OrderCancelled,
    OrderHeld,
    OrderLinesCancelled,
    OrderPlaced,
    OrderRevised,
    ShippingAddressChanged,
)
from domain.payment.events import PaymentActionRequired
from domain.personal import FORGOTTEN, SEALED, free_texts
from domain.returns.events import ReturnCancelled, ReturnRequested
from domain.shipment.events import (
    DeliveryAttempted,
    DeliveryExceptionRaised,
    ProofOfDeliveryReceived,
    ShipmentDelivered,
    ShipmentOutForDelivery,
    ShipmentReturnedToSender,
    ShipmentTrackingUpdated,
)
from projections.order.difference import Change, difference
from projections.order.document import OrderDocument, fold, project
from projections.order.past import Events
from projections.ports import HistoryItem, OrderDifference, OrderHistoryPage

CAME_TO_BE: Change = {"op": "add", "path": ""}
"""The first change of an order: all of it. Its event says with what."""
TOLD_OTHERWISE = frozenset({"updated_at", "version", "position", "timeline", "actions"})
"""Members that follow from the event itself or from the others, and so say nothing beside them."""
HIDDEN = "[hidden]"
_TOLD = (
    OrderCancellationRequested,
    OrderCancelled,
    OrderLinesCancelled,
    OrderRevised,
    ReturnRequested,
    ReturnCancelled,
    DeliveryAttempted,
    DeliveryExceptionRaised,
    ProofOfDeliveryReceived,
    ShipmentDelivered,
    ShipmentOutForDelivery,
    ShipmentReturnedToSender,
    ShipmentTrackingUpdated,
)
"""Events whose words the document tells the customer, whoever wrote them."""


def history_page(
    events: Events, *, after: int = 0, limit: int | None = None
) -> OrderHistoryPage | None:
    """Tell an order's events above position `after`, `limit` at most; None if it has none.

    Takes all of its events, from the first: each is told by what it changed in the document.
    """
    if not events:
        return None
    placed = events[0].event
    if not isinstance(placed, OrderPlaced):
        raise TypeError(f"the history of {events[0].order_id} does not begin with OrderPlaced")
    begin = next((n for n, one in enumerate(events) if one.position > after), len(events))
    end = len(events) if limit is None else min(begin + limit, len(events))
    told = _with_changes(fold(events[:begin]), events[begin:end])
    page = [_item(*pair) for pair in told]
    return OrderHistoryPage(placed.customer_id, page, has_more=end < len(events))


def compare(before: OrderDocument | None, after: OrderDocument | None) -> OrderDifference | None:
    """Say what changed from one document of an order to another; None: there is no other."""
    if after is None:
        return None
    if before is None:
        changes: Sequence[Change] = [{"op": "add", "path": "", "to": after.body}]
        return OrderDifference(after.customer_id, None, after.position, changes)
    changes = list(difference(before.body, after.body))
    return OrderDifference(after.customer_id, before.position, after.position, changes)


def payload(event: DomainEvent) -> Mapping[str, Any]:
    """Write a payload as JSON values, without secrets.

    A payment token is one, and so is the link by which a customer confirms a payment: nobody's
    history shows them.
    """
    data: dict[str, Any] = msgspec.to_builtins(event)
    if isinstance(event, OrderPlaced | ShippingAddressChanged):
        if event.personal in (SEALED, FORGOTTEN):
            data["personal"] = event.personal.name
        elif event.personal.payment_token is not None:
            data["personal"]["payment_token"] = HIDDEN
    elif isinstance(event, PaymentActionRequired):
        data["action_url"] = HIDDEN
    return data


def reason(event: DomainEvent) -> str | None:
    """Give why it was done, in the words of who did it, where the event has a reason."""
    if isinstance(event, OrderHeld) and event.reason is None:
        return str(event.reason_code)
    return getattr(event, "reason", None)


def as_json(item: HistoryItem) -> dict[str, Any]:
    """Give an item as values that orjson writes; `for_staff` is for those who hide."""
    return {
        field.name: getattr(item, field.name) for field in fields(item) if field.name != "for_staff"
    }


def _with_changes(
    document: OrderDocument | None, events: Events
) -> Iterator[tuple[Recorded[DomainEvent], Sequence[Change]]]:
    for recorded in events:
        before, document = document, project(document, recorded)
        if document is None:
            raise AssertionError("an event folds to a document")
        if before is None:
            yield recorded, [CAME_TO_BE]
        else:
            yield recorded, list(difference(_telling(before), _telling(document)))


def _telling(document: OrderDocument) -> dict[str, Any]:
    told = {name: v for name, v in document.body.items() if name not in TOLD_OTHERWISE}
    if told["payment"]["action_url"] is not None:
        told["payment"] = told["payment"] | {"action_url": HIDDEN}
    return told


def _item(recorded: Recorded[DomainEvent], changes: Sequence[Change]) -> HistoryItem:
    envelope = recorded.envelope
    return HistoryItem(
        position=recorded.position,
        event_id=envelope.event_id,
        type=recorded.type,
        stream=recorded.stream,
        version=recorded.version,
        occurred_at=envelope.occurred_at,
        recorded_at=recorded.recorded_at,
        actor=envelope.actor,
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
        command_id=envelope.command_id,
        reason=reason(recorded.event),
        data=payload(recorded.event),
        for_staff=() if isinstance(recorded.event, _TOLD) else tuple(free_texts(recorded.event)),
        changes=changes,
    )
