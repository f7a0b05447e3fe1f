"""Every event of every aggregate."""

from typing import TypeAlias

from domain.fulfilment.events import FulfilmentEvent
from domain.inventory.events import AllocationEvent, StockEvent
from domain.order.events import OrderEvent
from domain.payment.events import PaymentEvent
from domain.returns.events import ReturnEvent
from domain.shipment.events import ShipmentEvent

EventOfOrder: TypeAlias = (
    OrderEvent | PaymentEvent | AllocationEvent | ShipmentEvent | ReturnEvent | FulfilmentEvent
)
"""What belongs to one order: it is in its history, its document, and under its key on Kafka."""
DomainEvent: TypeAlias = EventOfOrder | StockEvent
