"""What follows from the rest of a document: the derived statuses, pieces by line, legal actions.

Rule: nothing here is remembered. It is worked out anew from the members that events have changed,
by the domain's own functions, so it can't disagree with them or with what decisions refuse. Stock
and saga are not looked at: see `document.project`.
"""

from functools import lru_cache
from uuid import UUID

from domain.actions import actions_by_role
from domain.envelope import Role
from domain.fulfilment.overview import facts_of
from domain.ids import CustomerId, OrderId, OrderNumber, Sku
from domain.money import Currency
from domain.order.events import HoldReason, OrderLine, PaymentMethod
from domain.order.state import Order, OrderStatus
from domain.payment.state import Payment
from domain.payment.status import PaymentStatus, payment_status
from domain.returns.state import Returns
from domain.returns.status import return_requested_pieces, return_status, returned_pieces
from domain.shipment.state import Shipments
from domain.shipment.status import delivered_pieces, fulfillment_status, shipped_pieces
from projections.order.body import Body, is_forgotten
from projections.order.states import order_of, payment_of, returns_of, shipments_of

ACTING = (Role.CUSTOMER, Role.MERCHANT, Role.SERVICE, Role.SUPPORT)


def derive(body: Body) -> None:
    """Fill in, once everything else in the body is as it should be."""
    payment, shipments, returns = payment_of(body), shipments_of(body), returns_of(body)
    if payment is None and shipments is None and returns is None:  # most orders, at first
        most_left = max(line["quantity"] - line["cancelled"] for line in body["lines"])
        body["actions"] = _actions_at_first(
            body["status"],
            most_left,
            on_hold=body["on_hold"],
            fulfilled_here=body["fulfilled_here"],
            forgotten=is_forgotten(body),
        )
        return
    order = order_of(body)
    body["payment_status"] = str(_payment_status(order, payment))
    body["fulfillment_status"] = str(fulfillment_status(order, shipments))
    body["return_status"] = str(return_status(returns))
    if shipments is not None:  # what was never sent can't be returned either
        body["lines"] = _counted(body, shipments, returns)
    body["actions"] = _actions(order, payment, shipments, returns)


@lru_cache(maxsize=1_024)  # the same few cases, again and again
def _actions_at_first(
    status: str, most_left: int, *, on_hold: bool, fulfilled_here: bool, forgotten: bool
) -> Body:
    """Give the actions on an order of which all pieces are here: its fullest line decides."""
    order = Order(
        order_id=OrderId(UUID(int=0)),
        order_number=OrderNumber(""),
        customer_id=CustomerId(""),
        status=OrderStatus(status),
        currency=Currency(""),
        total_minor=0,
        shipping_minor=0,
        discount_minor=0,
        payment=PaymentMethod.TOKEN,
        fulfilled_here=fulfilled_here,
        lines=(OrderLine(1, Sku(""), "", most_left, 0),),
        cancelled={},
        held_for=HoldReason.OTHER if on_hold else None,
        forgotten=forgotten,
    )
    return _actions(order, None, None, None)


def _actions(
    order: Order, payment: Payment | None, shipments: Shipments | None, returns: Returns | None
) -> Body:
    facts = facts_of(allocation=None, payment=payment, shipments=shipments, returns=returns)
    legal = actions_by_role(order, facts)
    return {str(role): list(legal[role]) for role in ACTING}


def _payment_status(order: Order, payment: Payment | None) -> PaymentStatus:
    if order.payment is PaymentMethod.SETTLED_ELSEWHERE:
        return PaymentStatus.PAID
    return payment_status(payment, owed_minor=order.owed_minor)


def _counted(body: Body, shipments: Shipments, returns: Returns | None) -> list[Body]:
    shipped, delivered = shipped_pieces(shipments), delivered_pieces(shipments)
    asked_back, returned = return_requested_pieces(returns), returned_pieces(returns)
    return [
        line
        | {
            "shipped": shipped.get(number := line["line_number"], 0),
            "delivered": delivered.get(number, 0),
            "return_requested": asked_back.get(number, 0),
            "returned": returned.get(number, 0),
        }
        for line in body["lines"]
    ]
