"""What the order's own events, after the first, change in its document: status, lines, address."""

from collections.abc import Mapping
from typing import TypeAlias, assert_never

from domain.envelope import Recorded
from domain.events import DomainEvent
from domain.order.events import (
    OrderCancellationRequested,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderExpired,
    OrderHeld,
    OrderHoldReleased,
    OrderLinesCancelled,
    OrderPersonalDataForgotten,
    OrderRejected,
    OrderRevised,
    ShippingAddressChanged,
)
from domain.order.state import OrderStatus
from projections.order.body import Body, is_forgotten, pieces, tell
from projections.order.forgetting import without_personal_data
from projections.order.placing import address
from projections.order.words import in_words

_Content: TypeAlias = (
    OrderLinesCancelled | OrderRevised | ShippingAddressChanged | OrderPersonalDataForgotten
)
_Status: TypeAlias = (
    OrderConfirmed
    | OrderCompleted
    | OrderRejected
    | OrderExpired
    | OrderCancellationRequested
    | OrderCancelled
)


def change(
    body: Body,
    event: _Content | _Status | OrderHeld | OrderHoldReleased,
    recorded: Recorded[DomainEvent],
) -> None:
    if isinstance(event, OrderHeld):
        body |= {"on_hold": True, "hold_reason": _why_held(event)}
        tell(body, recorded, "order_held", "Order on hold")
    elif isinstance(event, OrderHoldReleased):
        body |= {"on_hold": False, "hold_reason": None}
        tell(body, recorded, "order_hold_released", "Order goes on")
    elif isinstance(event, _Content):
        _change_content(body, event, recorded)
    else:
        _change_status(body, event, recorded)


def _change_content(body: Body, event: _Content, recorded: Recorded[DomainEvent]) -> None:
    match event:
        case OrderLinesCancelled():
            _cancel(body, {line.line_number: line.quantity for line in event.lines})
            text = f"{pieces(event.lines)} cancelled: {event.reason}"
            tell(body, recorded, "lines_cancelled", text)
        case OrderRevised():
            wanted = {line.line_number: line.quantity for line in event.lines}
            left = _left(body)
            _cancel(body, {number: left[number] - wanted[number] for number in wanted})
            tell(body, recorded, "order_revised", f"Fewer pieces ordered: {event.reason}")
        case ShippingAddressChanged():
            if not is_forgotten(body):
                body["shipping_address"] = address(event.personal.shipping_address)
            tell(body, recorded, "shipping_address_changed", "Shipping address changed")
        case OrderPersonalDataForgotten():
            body |= without_personal_data(body)
            tell(body, recorded, "personal_data_forgotten", "Personal data forgotten")
        case _:
            assert_never(event)


def _change_status(body: Body, event: _Status, recorded: Recorded[DomainEvent]) -> None:
    match event:
        case OrderConfirmed():
            body["status"] = str(OrderStatus.CONFIRMED)
            tell(body, recorded, "order_confirmed", "Order confirmed")
        case OrderCompleted():
            _end(body, OrderStatus.COMPLETED)
            tell(body, recorded, "order_completed", "Order completed")
        case OrderRejected():
            _end(body, OrderStatus.REJECTED)
            body["reject_reason"] = _why(event.reason_code, event.reason, event.short)
            text = f"Order rejected: {in_words(event.reason)}"
            tell(body, recorded, "order_rejected", text)
        case OrderExpired():
            _end(body, OrderStatus.EXPIRED)
            body["reject_reason"] = _why("expired", event.reason)
            tell(body, recorded, "order_expired", "Order expired: it was not paid in time")
        case OrderCancellationRequested():
            body["status"] = str(OrderStatus.CANCEL_PENDING)
            body["cancel_reason"] = str(event.reason_code)
            text = f"Cancellation requested: {event.reason}"
            tell(body, recorded, "cancellation_requested", text)
        case OrderCancelled():
            _cancel(body, _left(body))
            _end(body, OrderStatus.CANCELLED)
            body["cancel_reason"] = str(event.reason_code)
            tell(body, recorded, "order_cancelled", f"Order cancelled: {event.reason}")
        case _:
            assert_never(event)


def _end(body: Body, status: OrderStatus) -> None:
    # Nothing of it will leave any more, so there is nothing to hold.
    body |= {"status": str(status), "on_hold": False, "hold_reason": None}


def _why_held(event: OrderHeld) -> str:
    return in_words(event.reason_code) if event.reason is None else event.reason


def _why(code: str, text: str, short: tuple[int, ...] = ()) -> Body:
    return {"code": code, "text": in_words(text), "short_lines": list(short)}


def _left(body: Body) -> Mapping[int, int]:
    return {line["line_number"]: line["quantity"] - line["cancelled"] for line in body["lines"]}


def _cancel(body: Body, counts: Mapping[int, int]) -> None:
    body["lines"] = [
        line | {"cancelled": line["cancelled"] + counts.get(line["line_number"], 0)}
        for line in body["lines"]
    ]
    cancelled_minor = sum(line["cancelled"] * line["unit_price_minor"] for line in body["lines"])
    body["money"] = body["money"] | {"cancelled_minor": cancelled_minor}
