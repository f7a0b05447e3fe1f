"""A document read back as the states that decisions see, so that it is judged by the same rules.

Left out is what neither a status nor a legal action depends on: names, places, most times.
"""

from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from domain.fulfilment.events import Step
from domain.fulfilment.state import Condition, Fulfilment, StepRecord
from domain.ids import CustomerId, OrderId, OrderNumber, ReturnId, ShipmentId, Sku
from domain.money import Currency
from domain.order.events import HoldReason, OrderLine, PaymentMethod
from domain.order.state import Order, OrderStatus
from domain.payment.events import DeclineCode
from domain.payment.state import Attempt, Outcome, Payment, Transfer
from domain.returns.events import ReturnedLine
from domain.returns.state import Receipt, Return, Returns
from domain.shipment.events import ShippedLine, TrackingStatus
from domain.shipment.state import KnownScan, Shipment, Shipments, ShipmentStatus
from projections.order.body import Body, is_forgotten


def order_of(body: Body) -> Order:
    return Order(
        order_id=_order_id(body),
        order_number=OrderNumber(body["order_number"]),
        customer_id=CustomerId(body["customer"]["id"]),
        status=OrderStatus(body["status"]),
        currency=Currency(body["currency"]),
        total_minor=body["money"]["total_minor"],
        shipping_minor=body["money"]["shipping_minor"],
        discount_minor=body["money"]["discount_minor"],
        payment=PaymentMethod(body["payment"]["method"]),
        fulfilled_here=body["fulfilled_here"],
        lines=tuple(
            OrderLine(
                line["line_number"],
                Sku(line["sku"]),
                line["name"],
                line["quantity"],
                line["unit_price_minor"],
            )
            for line in body["lines"]
        ),
        cancelled={line["line_number"]: line["cancelled"] for line in body["lines"]},
        held_for=HoldReason.OTHER if body["on_hold"] else None,
        forgotten=is_forgotten(body),
    )


def payment_of(body: Body) -> Payment | None:
    """Give the payment; None: nothing was ever asked of a provider, or told by one."""
    shown = body["payment"]
    if not (shown["attempts"] or shown["is_closed"] or shown["chargebacks"]):
        return None
    return Payment(
        order_id=_order_id(body),
        provider=shown["provider"],
        currency=None if shown["provider"] is None else Currency(body["currency"]),
        attempts=MappingProxyType({one["attempt"]: _attempt(one) for one in shown["attempts"]}),
        held=shown["paying_attempt"],
        closed=shown["is_closed"],
        voided_minor=shown["voided_minor"] if shown["is_voided"] else None,
        captures=MappingProxyType({one["capture_id"]: _transfer(one) for one in shown["captures"]}),
        refunds=MappingProxyType({one["refund_id"]: _transfer(one) for one in shown["refunds"]}),
        chargebacks=MappingProxyType(
            {one["dispute_id"]: one["amount_minor"] for one in shown["chargebacks"]}
        ),
    )


def shipments_of(body: Body) -> Shipments | None:
    parcels = tuple(map(shipment_of, body["shipments"]))
    return Shipments(_order_id(body), parcels) if parcels else None


def shipment_of(parcel: Body) -> Shipment:
    """Give one parcel, of its scans only the newest."""
    return Shipment(
        shipment_id=ShipmentId(UUID(parcel["shipment_id"])),
        lines=tuple(
            ShippedLine(line["line_number"], Sku(line["sku"]), line["quantity"])
            for line in parcel["lines"]
        ),
        status=ShipmentStatus(parcel["status"]),
        carrier=parcel["carrier"],
        tracking_number=parcel["tracking_number"],
        scans=tuple(
            KnownScan(scan["code"], _time(scan["at"]), TrackingStatus(scan["status"]))
            for scan in parcel["scans"][-1:]
        ),
        proof=parcel["proof"],
    )


def returns_of(body: Body) -> Returns | None:
    returns = tuple(map(return_of, body["returns"]))
    return Returns(_order_id(body), returns) if returns else None


def return_of(one: Body) -> Return:
    return Return(
        return_id=ReturnId(UUID(one["return_id"])),
        lines=tuple(
            ReturnedLine(line["line_number"], Sku(line["sku"]), line["quantity"])
            for line in one["lines"]
        ),
        received={
            line["line_number"]: line["received"] for line in one["lines"] if line["received"]
        },
        receipts=tuple(map(_receipt, one["receipts"])),
        approved=one["is_approved"],
        cancelled=one["is_cancelled"],
    )


def _receipt(one: Body) -> Receipt:
    # Documents of version 5, which are there until a rebuild, have no `refunded_minor`.
    back = one.get("refunded_minor", one["refund_minor"]) if one["is_refunded"] else None
    return Receipt(one["receipt_number"], one["refund_minor"], one["restock"], back)


def fulfilment_of(body: Body) -> Fulfilment:
    """Give the saga with its live steps, and with the one that says how long stock is held."""
    shown = body["fulfilment"]
    steps = [
        StepRecord(
            step=Step(one["step"]),
            subject=one["subject"],
            attempt=one["attempt"],
            condition=Condition.OPEN if one["stuck"] is None else Condition.STUCK,
            due_at=_maybe_time(one["due_at"]),
            timed_out=one["is_overdue"],
            reason=one["stuck"] or "",
        )
        for one in shown["steps"]
    ]
    held_until = _maybe_time(shown["stock_held_until"])
    steps.append(StepRecord(Step.RESERVE, "", 1, Condition.DONE, held_until))
    return Fulfilment(_order_id(body), shown["is_charged"], tuple(steps))


def _order_id(body: Body) -> OrderId:
    return OrderId(UUID(body["order_id"]))


def _attempt(one: Body) -> Attempt:
    code = one["decline_code"]
    return Attempt(
        one["amount_minor"],
        Outcome(one["outcome"]),
        decline_code=None if code is None else DeclineCode(code),
    )


def _transfer(one: Body) -> Transfer:
    return Transfer(one["amount_minor"], Outcome(one["outcome"]), one["tries"], one["is_final"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _maybe_time(text: str | None) -> datetime | None:
    return None if text is None else _time(text)
