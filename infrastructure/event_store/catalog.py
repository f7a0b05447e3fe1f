"""The stable name of every event, and how old versions become new ones.

Rule: a name, once stored, means the same payload for ever. A changed payload gets a new
version, and one upcaster that leads there from the version before, dict to dict.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from domain.events import DomainEvent
from domain.fulfilment.events import (
    FulfilmentCompensating,
    FulfilmentCompleted,
    FulfilmentFailed,
    FulfilmentStarted,
    FulfilmentStepDone,
    FulfilmentStepFailed,
    FulfilmentStepSkipped,
    FulfilmentStepStarted,
    FulfilmentStepTimedOut,
    FulfilmentStuck,
)
from domain.inventory.events import (
    AllocationCommitted,
    AllocationRejected,
    AllocationReleased,
    AllocationReserved,
    AllocationRestocked,
    AllocationShipped,
    StockAdjusted,
    StockCommitted,
    StockItemListed,
    StockReceived,
    StockReservationExpired,
    StockReservationReleased,
    StockReserved,
    StockRestocked,
    StockShipped,
)
from domain.order.events import (
    HoldReason,
    OrderCancellationRequested,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderExpired,
    OrderHeld,
    OrderHoldReleased,
    OrderLinesCancelled,
    OrderPersonalDataForgotten,
    OrderPlaced,
    OrderRejected,
    OrderRevised,
    ShippingAddressChanged,
)
from domain.payment.events import (
    ChargebackReceived,
    PaymentActionRequired,
    PaymentAuthorizationFailed,
    PaymentAuthorizationRequested,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentCaptureRequested,
    PaymentRefunded,
    PaymentVoided,
    PaymentVoidRequested,
    RefundFailed,
    RefundRequested,
)
from domain.returns.events import (
    ReturnApproved,
    ReturnCancelled,
    ReturnReceived,
    ReturnRefunded,
    ReturnRequested,
)
from domain.shipment.events import (
    DeliveryAttempted,
    DeliveryExceptionRaised,
    EstimatedDeliveryChanged,
    ProofOfDeliveryReceived,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentOutForDelivery,
    ShipmentReturnedToSender,
    ShipmentTrackingUpdated,
)

Upcaster: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]


class UnknownEventTypeError(Exception):
    """A stored name that this version's catalog lacks."""


@dataclass(frozen=True)
class Catalog:
    """Names and classes of events.

    Attributes:
        current: stored name -> class, newest versions only.
        upcasters: older stored name -> (the next version's name, payload -> its payload).
    """

    current: Mapping[str, type[DomainEvent]]
    upcasters: Mapping[str, tuple[str, Upcaster]]

    @cached_property
    def _names(self) -> Mapping[type[DomainEvent], str]:
        return {event_class: name for name, event_class in self.current.items()}

    def name_of(self, event_class: type[DomainEvent]) -> str:
        try:
            return self._names[event_class]
        except KeyError:
            raise UnknownEventTypeError(event_class.__name__) from None

    def upcast(self, name: str, data: dict[str, Any]) -> tuple[type[DomainEvent], dict[str, Any]]:
        """Lead a payload to its newest version, one step at a time.

        Raises:
            UnknownEventTypeError: the name was never in this catalog.
        """
        while name in self.upcasters:
            name, step = self.upcasters[name]
            data = step(data)
        if name not in self.current:
            raise UnknownEventTypeError(name)
        return self.current[name], data


def _without_reason_code(data: dict[str, Any]) -> dict[str, Any]:
    """Lead a cancellation to version 2; before it there were only words, which can't be counted."""
    return {**data, "reason_code": "other"}


def _not_fulfilled_here(data: dict[str, Any]) -> dict[str, Any]:
    """Lead an order to version 2: the saga leaves alone what was placed before it was there."""
    return {**data, "fulfilled_here": False}


def _with_hold_code(data: dict[str, Any]) -> dict[str, Any]:
    """Lead a hold to version 2; before it our own holds were known by their words."""
    if data["reason"] in (HoldReason.CAPTURE_FAILED, HoldReason.AUTHORIZATION_LET_GO):
        return {**data, "reason_code": data["reason"], "reason": None}
    return {**data, "reason_code": "other"}


def _nothing_withheld(data: dict[str, Any]) -> dict[str, Any]:
    """Lead a receipt to version 2; before it what pieces are worth was owed, whatever was left."""
    return {**data, "withheld_minor": 0}


CATALOG = Catalog(
    current={
        "fulfilment.started.v1": FulfilmentStarted,
        "fulfilment.step_started.v1": FulfilmentStepStarted,
        "fulfilment.step_done.v1": FulfilmentStepDone,
        "fulfilment.step_failed.v1": FulfilmentStepFailed,
        "fulfilment.step_timed_out.v1": FulfilmentStepTimedOut,
        "fulfilment.stuck.v1": FulfilmentStuck,
        "fulfilment.step_skipped.v1": FulfilmentStepSkipped,
        "fulfilment.compensating.v1": FulfilmentCompensating,
        "fulfilment.completed.v1": FulfilmentCompleted,
        "fulfilment.failed.v1": FulfilmentFailed,
        "stock.item_listed.v1": StockItemListed,
        "stock.received.v1": StockReceived,
        "stock.adjusted.v1": StockAdjusted,
        "stock.reserved.v1": StockReserved,
        "stock.reservation_released.v1": StockReservationReleased,
        "stock.reservation_expired.v1": StockReservationExpired,
        "stock.committed.v1": StockCommitted,
        "stock.shipped.v1": StockShipped,
        "stock.restocked.v1": StockRestocked,
        "allocation.reserved.v1": AllocationReserved,
        "allocation.rejected.v1": AllocationRejected,
        "allocation.committed.v1": AllocationCommitted,
        "allocation.released.v1": AllocationReleased,
        "allocation.shipped.v1": AllocationShipped,
        "allocation.restocked.v1": AllocationRestocked,
        "order.placed.v2": OrderPlaced,
        "order.confirmed.v1": OrderConfirmed,
        "order.rejected.v1": OrderRejected,
        "order.expired.v1": OrderExpired,
        "order.held.v2": OrderHeld,
        "order.hold_released.v1": OrderHoldReleased,
        "order.cancellation_requested.v1": OrderCancellationRequested,
        "order.revised.v1": OrderRevised,
        "order.shipping_address_changed.v1": ShippingAddressChanged,
        "order.completed.v1": OrderCompleted,
        "order.lines_cancelled.v2": OrderLinesCancelled,
        "order.cancelled.v2": OrderCancelled,
        "order.personal_data_forgotten.v1": OrderPersonalDataForgotten,
        "payment.authorization_requested.v1": PaymentAuthorizationRequested,
        "payment.action_required.v1": PaymentActionRequired,
        "payment.authorized.v1": PaymentAuthorized,
        "payment.authorization_failed.v1": PaymentAuthorizationFailed,
        "payment.capture_requested.v1": PaymentCaptureRequested,
        "payment.captured.v1": PaymentCaptured,
        "payment.capture_failed.v1": PaymentCaptureFailed,
        "payment.void_requested.v1": PaymentVoidRequested,
        "payment.voided.v1": PaymentVoided,
        "payment.refund_requested.v1": RefundRequested,
        "payment.refunded.v1": PaymentRefunded,
        "payment.refund_failed.v1": RefundFailed,
        "payment.chargeback_received.v1": ChargebackReceived,
        "return.requested.v1": ReturnRequested,
        "return.approved.v1": ReturnApproved,
        "return.received.v2": ReturnReceived,
        "return.refunded.v1": ReturnRefunded,
        "return.cancelled.v1": ReturnCancelled,
        "shipment.created.v1": ShipmentCreated,
        "shipment.dispatched.v1": ShipmentDispatched,
        "shipment.tracking_updated.v1": ShipmentTrackingUpdated,
        "shipment.out_for_delivery.v1": ShipmentOutForDelivery,
        "shipment.delivery_attempted.v1": DeliveryAttempted,
        "shipment.delivery_exception_raised.v1": DeliveryExceptionRaised,
        "shipment.delivered.v1": ShipmentDelivered,
        "shipment.proof_of_delivery_received.v1": ProofOfDeliveryReceived,
        "shipment.returned_to_sender.v1": ShipmentReturnedToSender,
        "shipment.estimated_delivery_changed.v1": EstimatedDeliveryChanged,
        "shipment.cancelled.v1": ShipmentCancelled,
    },
    upcasters={
        "order.placed.v1": ("order.placed.v2", _not_fulfilled_here),
        "order.lines_cancelled.v1": ("order.lines_cancelled.v2", _without_reason_code),
        "order.cancelled.v1": ("order.cancelled.v2", _without_reason_code),
        "order.held.v1": ("order.held.v2", _with_hold_code),
        "return.received.v1": ("return.received.v2", _nothing_withheld),
    },
)
