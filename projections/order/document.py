"""The order as it is sent to callers: one document, folded from every stream of the order.

Each stream's version is kept beside the document, so that a known event is ignored and a
gap is noticed. Members keep their order, so that equal documents are equal bytes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, assert_never
from uuid import UUID

import msgspec

from domain.envelope import Recorded
from domain.ids import CustomerId, OrderId, StreamId
from domain.order.events import (
    OrderCancelled,
    OrderEvent,
    OrderLinesCancelled,
    OrderPersonalDataForgotten,
    OrderPlaced,
    PaymentMethod,
)
from domain.personal import FORGOTTEN, Address, PersonalData

Body: TypeAlias = dict[str, Any]

PROJECTION_VERSION = 1
"""Raised with every change of what `project` makes of the same events: see the runbook, Rebuild."""


SECONDS_LENGTH = len("2026-01-31T12:00:00")
TIMESTAMP_LENGTH = len("2026-01-31T12:00:00.000000Z")


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


def project(document: OrderDocument | None, recorded: Recorded[OrderEvent]) -> OrderDocument | None:
    """Take one more event in. One that is known already changes nothing.

    Raises:
        GapError: the event before it is missing.
        MisplacedError: it is another order's, or the order was placed before.
    """
    if document is None:
        return fold([recorded])
    versions = dict(document.versions)
    body = _take_in(dict(document.body), versions, recorded)
    return document if body is None else OrderDocument(body, versions)


def fold(events: Iterable[Recorded[OrderEvent]]) -> OrderDocument | None:
    """Fold an order from its beginning; None if there are no events.

    What `project` would give event by event, without a document for each. Raises what it does.
    """
    body: Body | None = None
    versions: dict[StreamId, int] = {}
    for recorded in events:
        body = _take_in(body, versions, recorded) or body
    return None if body is None else OrderDocument(body, versions)


def _take_in(
    body: Body | None, versions: dict[StreamId, int], recorded: Recorded[OrderEvent]
) -> Body | None:
    """Change a body and versions that nobody else has; None, with nothing changed: it is known."""
    known = versions.get(recorded.stream, 0)
    if recorded.version <= known:
        return None
    if recorded.version > known + 1:
        raise GapError(f"{recorded.stream} goes from {known} to {recorded.version}")
    event = recorded.event
    if event.order_id != recorded.order_id:
        raise MisplacedError(f"{recorded.stream} has an event of {event.order_id}")
    if isinstance(event, OrderPlaced):
        if body is not None:
            raise MisplacedError(f"{recorded.stream} was placed before")
        body = _placed(event, recorded)
    elif body is None:
        raise GapError(f"{recorded.stream} begins with {recorded.type}")
    else:
        _change(body, event)
    _stamp(body, recorded)
    versions[recorded.stream] = recorded.version
    return body


def _placed(event: OrderPlaced, recorded: Recorded[OrderEvent]) -> Body:
    subtotal = sum(line.quantity * line.unit_price_minor for line in event.lines)
    settled = event.payment is PaymentMethod.SETTLED_ELSEWHERE
    return {
        "order_id": str(event.order_id),
        "order_number": event.order_number,
        "external_reference": event.external_reference,
        "status": "pending",
        "payment_status": "paid" if settled else "none",
        "fulfillment_status": "unfulfilled",
        "return_status": "none",
        "on_hold": False,
        "cancel_reason": None,
        "customer": _customer(event.customer_id, event.personal),
        "currency": event.currency,
        "lines": [
            {
                "line_number": line.line_number,
                "sku": line.sku,
                "name": line.name,
                "quantity": line.quantity,
                "unit_price_minor": line.unit_price_minor,
                "total_minor": line.quantity * line.unit_price_minor,
                "cancelled": 0,
            }
            for line in event.lines
        ],
        "money": {
            "subtotal_minor": subtotal,
            "shipping_minor": event.shipping_minor,
            "tax_minor": event.tax_minor,
            "discount_minor": event.discount_minor,
            "total_minor": event.total_minor,
            "cancelled_minor": 0,
        },
        "shipping_address": _address(event.personal.shipping_address),
        "placed_at": timestamp(recorded.envelope.occurred_at),
        "updated_at": "",
        "version": 0,
        "position": 0,
        "timeline": [_step(recorded, "order_placed", "Order placed")],
    }


def without_personal_data(body: Body) -> Body:
    """Give the document as it is once its customer was forgotten."""
    return body | {
        "customer": _customer(body["customer"]["id"], FORGOTTEN),
        "shipping_address": _address(FORGOTTEN.shipping_address),
    }


def _change(
    body: Body, event: OrderLinesCancelled | OrderCancelled | OrderPersonalDataForgotten
) -> None:
    """Change a copied body; nested values are replaced, never changed in place."""
    if isinstance(event, OrderLinesCancelled):
        cancelled = {line.line_number: line.quantity for line in event.lines}
        _cancel_pieces(body, cancelled)
    elif isinstance(event, OrderCancelled):
        left = {line["line_number"]: line["quantity"] - line["cancelled"] for line in body["lines"]}
        _cancel_pieces(body, left)
        body["status"] = "cancelled"
        body["cancel_reason"] = str(event.reason_code)
    elif isinstance(event, OrderPersonalDataForgotten):
        body.update(without_personal_data(body))
    else:
        assert_never(event)


def _cancel_pieces(body: Body, pieces: Mapping[int, int]) -> None:
    body["lines"] = [
        line | {"cancelled": line["cancelled"] + pieces.get(line["line_number"], 0)}
        for line in body["lines"]
    ]
    body["money"] = body["money"] | {
        "cancelled_minor": sum(
            line["cancelled"] * line["unit_price_minor"] for line in body["lines"]
        )
    }


def _stamp(body: Body, recorded: Recorded[OrderEvent]) -> None:
    event = recorded.event
    if isinstance(event, OrderLinesCancelled):
        pieces = sum(line.quantity for line in event.lines)
        text = f"{pieces} piece{'' if pieces == 1 else 's'} cancelled: {event.reason}"
        body["timeline"] = [*body["timeline"], _step(recorded, "lines_cancelled", text)]
    elif isinstance(event, OrderCancelled):
        text = f"Order cancelled: {event.reason}"
        body["timeline"] = [*body["timeline"], _step(recorded, "order_cancelled", text)]
    elif isinstance(event, OrderPersonalDataForgotten):
        step = _step(recorded, "personal_data_forgotten", "Personal data forgotten")
        body["timeline"] = [*body["timeline"], step]
    body["updated_at"] = timestamp(recorded.recorded_at)
    body["version"] = recorded.version
    body["position"] = recorded.position


def _step(recorded: Recorded[OrderEvent], code: str, text: str) -> Body:
    return {"at": timestamp(recorded.envelope.occurred_at), "code": code, "text": text}


def _customer(customer_id: CustomerId, personal: PersonalData) -> Body:
    return {
        "id": customer_id,
        "name": personal.name,
        "email": personal.email,
        "phone": personal.phone,
    }


def _address(address: Address | None) -> Body | None:
    if address is None:
        return None
    return {
        "name": address.name,
        "line1": address.line1,
        "line2": address.line2,
        "city": address.city,
        "region": address.region,
        "postal_code": address.postal_code,
        "country": address.country,
    }


def timestamp(time: datetime) -> str:
    """Write an aware UTC time as RFC 3339, with microseconds, so that texts sort as times."""
    text: str = msgspec.to_builtins(time)  # isoformat takes as long as the rest of a document
    return text if len(text) == TIMESTAMP_LENGTH else f"{text[:SECONDS_LENGTH]}.000000Z"
