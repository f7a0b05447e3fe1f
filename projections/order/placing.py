"""A placed order as its document shows it at first, and whose it is.

Every member that a document ever has is in it from the beginning.
"""

from domain.envelope import Recorded
from domain.events import DomainEvent
from domain.ids import CustomerId
from domain.order.events import OrderLine, OrderPlaced, PaymentMethod
from domain.personal import Address, PersonalData
from projections.order import payment
from projections.order.body import Body, tell, timestamp


def place(event: OrderPlaced, recorded: Recorded[DomainEvent]) -> Body:
    """Begin a document; what follows from its other members is filled in by `derived`."""
    subtotal = sum(line.quantity * line.unit_price_minor for line in event.lines)
    settled = event.payment is PaymentMethod.SETTLED_ELSEWHERE
    body = {
        "order_id": str(event.order_id),
        "order_number": event.order_number,
        "external_reference": event.external_reference,
        "status": "pending",
        "payment_status": "paid" if settled else "none",
        "fulfillment_status": "unfulfilled",
        "return_status": "none",
        "on_hold": False,
        "hold_reason": None,
        "cancel_reason": None,
        "reject_reason": None,
        "fulfilled_here": event.fulfilled_here,
        "customer": customer(event.customer_id, event.personal),
        "currency": event.currency,
        "lines": [_line(line) for line in event.lines],
        "money": {
            "subtotal_minor": subtotal,
            "shipping_minor": event.shipping_minor,
            "tax_minor": event.tax_minor,
            "discount_minor": event.discount_minor,
            "total_minor": event.total_minor,
            "cancelled_minor": 0,
        },
        "payment": payment.begin(event.payment),
        "shipments": [],
        "returns": [],
        "fulfilment": None,
        "shipping_address": address(event.personal.shipping_address),
        "actions": {},
        "placed_at": timestamp(recorded.envelope.occurred_at),
        "updated_at": "",
        "version": 0,
        "position": 0,
        "timeline": [],
    }
    tell(body, recorded, "order_placed", "Order placed")
    return body


def address(address: Address | None) -> Body | None:
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


def customer(customer_id: CustomerId, personal: PersonalData) -> Body:
    return {
        "id": customer_id,
        "name": personal.name,
        "email": personal.email,
        "phone": personal.phone,
    }


def _line(line: OrderLine) -> Body:
    return {
        "line_number": line.line_number,
        "sku": line.sku,
        "name": line.name,
        "quantity": line.quantity,
        "unit_price_minor": line.unit_price_minor,
        "total_minor": line.quantity * line.unit_price_minor,
        "cancelled": 0,
        "allocated": 0,
        "backordered": 0,
        "shipped": 0,
        "delivered": 0,
        "return_requested": 0,
        "returned": 0,
    }
