"""Read from the states of an order's aggregates what the saga, and others like it, must know."""

from collections import Counter
from collections.abc import Mapping

from domain.fulfilment.facts import (
    AllocationFacts,
    Facts,
    ParcelFacts,
    ParcelStatus,
    PaymentFacts,
    ReceiptFacts,
    ReturnFacts,
    ReturnStatus,
)
from domain.fulfilment.standing import is_by_hand
from domain.inventory.allocation import Allocation, AllocationStatus
from domain.payment.state import Outcome, Payment, Transfer
from domain.returns.state import Return, Returns, ReturnStage
from domain.returns.status import claimed_pieces
from domain.shipment.state import Shipment, Shipments, ShipmentStatus

_PARCEL: Mapping[ShipmentStatus, ParcelStatus] = {
    ShipmentStatus.CREATED: ParcelStatus.PACKED,
    ShipmentStatus.DISPATCHED: ParcelStatus.DISPATCHED,
    ShipmentStatus.DELIVERED: ParcelStatus.DELIVERED,
    ShipmentStatus.RETURNED_TO_SENDER: ParcelStatus.RETURNED,
    ShipmentStatus.CANCELLED: ParcelStatus.CANCELLED,
}
_RETURN: Mapping[ReturnStage, ReturnStatus] = {
    ReturnStage.REQUESTED: ReturnStatus.REQUESTED,
    ReturnStage.APPROVED: ReturnStatus.APPROVED,
    ReturnStage.PARTIALLY_RECEIVED: ReturnStatus.APPROVED,
    ReturnStage.RECEIVED: ReturnStatus.RECEIVED,
    ReturnStage.REFUNDED: ReturnStatus.RECEIVED,
    ReturnStage.CANCELLED: ReturnStatus.CANCELLED,
}


def facts_of(
    *,
    allocation: Allocation | None,
    payment: Payment | None,
    shipments: Shipments | None,
    returns: Returns | None,
) -> Facts:
    """Say where everything but the order and its saga stands."""
    return Facts(_allocation(allocation), _payment(payment), _parcels(shipments), _returns(returns))


def _allocation(allocation: Allocation | None) -> AllocationFacts:
    if allocation is None:
        return AllocationFacts()
    held: Counter[int] = Counter()
    shipped: Counter[int] = Counter()
    for part in allocation.parts:
        held[part.line_number] += part.held
        shipped[part.line_number] += part.shipped
    return AllocationFacts(
        # Released as its first event: it is off, and as one that was held and let go.
        reserved=allocation.status is not AllocationStatus.REJECTED,
        short=allocation.short,
        committed=allocation.committed,
        held=held,
        shipped=shipped,
        shipments=frozenset(map(str, allocation.shipments)),
        restocked=frozenset(allocation.restocks),
    )


def _payment(payment: Payment | None) -> PaymentFacts:
    if payment is None:
        return PaymentFacts()
    latest = payment.attempts.get(len(payment.attempts))
    failed = _with_outcome(payment.refunds, Outcome.FAILED)
    transfers: Mapping[str, Transfer] = {**payment.captures, **payment.refunds}
    return PaymentFacts(
        attempt=len(payment.attempts),
        pending=payment.open_attempt is not None
        or payment.capture_pending_minor > 0
        or bool(payment.strays),
        authorized=payment.held is not None,
        decline=None if latest is None else latest.decline_code,
        held_minor=payment.capturable_minor,
        voided=payment.voided_minor is not None,
        captures=_with_outcome(payment.captures, Outcome.DONE),
        capturing=_with_outcome(payment.captures, Outcome.PENDING),
        refunds=_with_outcome(payment.refunds, Outcome.DONE),
        refunding=_with_outcome(payment.refunds, Outcome.PENDING),
        in_vain={name: amount for name, amount in failed.items() if is_by_hand(name)},
        charged_back_minor=payment.charged_back_minor,
        failures={name: one.failures for name, one in transfers.items() if one.failures},
        refused=frozenset(name for name, one in transfers.items() if one.refused),
    )


def _with_outcome(transfers: Mapping[str, Transfer], outcome: Outcome) -> Mapping[str, int]:
    return {name: one.amount_minor for name, one in transfers.items() if one.outcome is outcome}


def _parcels(shipments: Shipments | None) -> tuple[ParcelFacts, ...]:
    return () if shipments is None else tuple(map(_parcel, shipments.shipments))


def _parcel(shipment: Shipment) -> ParcelFacts:
    pieces: Counter[int] = Counter()
    for line in shipment.lines:
        pieces[line.line_number] += line.quantity
    heard_at = shipment.scans[-1].scanned_at if shipment.scans else None
    return ParcelFacts(str(shipment.shipment_id), _PARCEL[shipment.status], pieces, heard_at)


def _returns(returns: Returns | None) -> tuple[ReturnFacts, ...]:
    return () if returns is None else tuple(map(_return, returns.returns))


def _return(one: Return) -> ReturnFacts:
    receipts = tuple(
        ReceiptFacts(
            one.return_id,
            receipt.receipt_number,
            receipt.refund_minor,
            receipt.restock,
            receipt.refunded_minor,
        )
        for receipt in one.receipts
    )
    return ReturnFacts(one.return_id, _RETURN[one.stage], claimed_pieces(one), receipts)
