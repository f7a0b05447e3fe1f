"""Which order is meant, its saga with the times of its steps, and what people must do for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from api.cli.orders import find_order

if TYPE_CHECKING:
    from datetime import datetime

    from commands.ports import Ports
    from domain.fulfilment.state import Condition, Fulfilment, StepRecord
    from domain.ids import OrderId, StreamId
    from infrastructure.event_store.order_reader import OrderReader


@dataclass(frozen=True, slots=True)
class Told:
    """A saga as its events tell it.

    Attributes:
        moved_at: by step and subject, when it last changed, by the database's clock.
        to_receive: by sku, the pieces that came back to the sender and won't be sent again.
    """

    saga: "Fulfilment"
    moved_at: "Mapping[tuple[str, str], datetime]"
    to_receive: Mapping[str, int]


def find(order: str) -> "OrderId":
    """Find an order by id or number, or end with exit code 1."""
    from infrastructure import composition
    from infrastructure.settings import StoreSettings

    reader = composition.order_reader(StoreSettings(), pool_size=1)
    try:
        return find_order(reader, order)
    finally:
        reader.close()


def find_told(order: str) -> "tuple[OrderId, Told | None]":
    """Find an order as `find` does, and read its saga; None: there is none."""
    from infrastructure import composition
    from infrastructure.settings import StoreSettings

    reader = composition.order_reader(StoreSettings(), pool_size=1)
    try:
        order_id = find_order(reader, order)
        return order_id, _tell(reader, order_id)
    finally:
        reader.close()


def _tell(reader: "OrderReader", order_id: "OrderId") -> Told | None:
    from domain.fulfilment.state import FULFILMENT, StepEvent
    from domain.ids import allocation_stream, fulfilment_stream, order_stream, shipments_stream
    from domain.inventory.allocation import ALLOCATION
    from domain.order.state import ORDER
    from domain.shipment.state import SHIPMENTS

    folds: dict[StreamId, Any] = {
        order_stream(order_id): ORDER,
        allocation_stream(order_id): ALLOCATION,
        shipments_stream(order_id): SHIPMENTS,
        fulfilment_stream(order_id): FULFILMENT,
    }
    its = [entry for entry in reader.entries(order_id) if entry.stream in folds]
    states: dict[StreamId, Any] = {}
    moved_at: dict[tuple[str, str], datetime] = {}
    for recorded in reader.open(its):
        event, stream = recorded.event, recorded.stream
        states[stream] = folds[stream].evolve(states.get(stream), event)
        if isinstance(event, StepEvent):
            moved_at[event.step, event.subject] = recorded.recorded_at
    order, allocation, shipments, saga = (states.get(stream) for stream in folds)
    return None if saga is None else Told(saga, moved_at, _back(order, allocation, shipments))


def _back(order: Any, allocation: Any, shipments: Any) -> Mapping[str, int]:
    from domain.fulfilment.overview import facts_of
    from domain.fulfilment.standing import to_receive

    facts = facts_of(allocation=allocation, shipments=shipments, payment=None, returns=None)
    back = to_receive(order, facts)
    sums: dict[str, int] = {}
    for line in order.lines:
        sums[line.sku] = sums.get(line.sku, 0) + back.get(line.line_number, 0)
    return {sku: quantity for sku, quantity in sums.items() if quantity}


async def steps_in(
    conditions: Sequence["Condition"], order_id: "OrderId", ports: "Ports"
) -> Sequence["StepRecord"]:
    """List the steps that are in one of some conditions; none, where no saga leads the order."""
    from domain.fulfilment.state import FULFILMENT
    from domain.ids import fulfilment_stream

    saga = (await ports.store.load(fulfilment_stream(order_id), FULFILMENT)).state
    live = () if saga is None else saga.live()
    return [record for record in live if record.condition in conditions]
