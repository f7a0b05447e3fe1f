"""What the events of its returns change in the order's document: each return and what has come."""

from typing import TypeAlias, assert_never

from domain.envelope import Recorded
from domain.events import DomainEvent
from domain.money import Currency, Money
from domain.returns.events import (
    ReturnApproved,
    ReturnCancelled,
    ReturnEvent,
    ReturnReceived,
    ReturnRefunded,
    ReturnRequested,
)
from projections.order.body import Body, pieces, tell
from projections.order.states import return_of

_Later: TypeAlias = ReturnApproved | ReturnReceived | ReturnRefunded | ReturnCancelled


def change(body: Body, event: ReturnEvent, recorded: Recorded[DomainEvent]) -> None:
    if isinstance(event, ReturnRequested):
        body["returns"] = [*body["returns"], _requested(event)]
    else:
        return_id = str(event.return_id)
        body["returns"] = [
            _moved(one, event) if one["return_id"] == return_id else one for one in body["returns"]
        ]
    told = _words(event, Currency(body["currency"]))
    if told is not None:
        tell(body, recorded, *told)


def _requested(event: ReturnRequested) -> Body:
    return {
        "return_id": str(event.return_id),
        "status": "requested",
        "reason_code": str(event.reason_code),
        "reason": event.reason,
        "lines": [
            {
                "line_number": line.line_number,
                "sku": line.sku,
                "quantity": line.quantity,
                "received": 0,
            }
            for line in event.lines
        ],
        "refunded_minor": 0,
        "is_approved": False,
        "is_cancelled": False,
        "receipts": [],
    }


def _moved(one: Body, event: _Later) -> Body:
    after = one | _changes(one, event)
    known = return_of(after)
    after["refunded_minor"] = sum(receipt.refunded_minor or 0 for receipt in known.receipts)
    after["status"] = str(known.stage)
    return after


def _changes(one: Body, event: _Later) -> Body:
    match event:
        case ReturnApproved():
            return {"is_approved": True}
        case ReturnCancelled():
            return {"is_cancelled": True}
        case ReturnReceived():
            come = {line.line_number: line.quantity for line in event.lines}
            receipt = {
                "receipt_number": event.receipt_number,
                "refund_minor": event.refund_minor,
                "restock": sum(line.restock for line in event.lines),
                "refunded_minor": 0,
                "is_refunded": False,
            }
            return {
                "lines": [
                    line | {"received": line["received"] + come.get(line["line_number"], 0)}
                    for line in one["lines"]
                ],
                "receipts": [*one["receipts"], receipt],
            }
        case ReturnRefunded(receipt_number=number, refund_minor=back):
            return {
                "receipts": [
                    receipt | {"refunded_minor": back, "is_refunded": True}
                    if receipt["receipt_number"] == number
                    else receipt
                    for receipt in one["receipts"]
                ]
            }
        case _:
            assert_never(event)


def _words(event: ReturnEvent, currency: Currency) -> tuple[str, str] | None:
    """Give a step of the timeline. That money is back is told by the payment."""
    match event:
        case ReturnRequested():
            return "return_requested", f"Return of {pieces(event.lines)} requested: {event.reason}"
        case ReturnApproved():
            return "return_approved", "Return approved"
        case ReturnReceived():
            text = f"{pieces(event.lines)} received back"
            if event.withheld_minor:
                before = Money(event.withheld_minor, currency)
                text += f"; {before} of what was paid for it was given back before"
            return "return_received", text
        case ReturnCancelled():
            return "return_cancelled", f"Return cancelled: {event.reason}"
        case ReturnRefunded():
            return None
        case _:
            assert_never(event)
