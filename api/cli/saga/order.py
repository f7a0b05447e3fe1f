"""Which order is meant, its saga with the times of its steps, and which of them are stuck."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.cli.orders import find_order

if TYPE_CHECKING:
    from datetime import datetime

    from commands.ports import Ports
    from domain.fulfilment.state import Condition, Fulfilment, StepRecord
    from domain.ids import OrderId
    from infrastructure.event_store.order_reader import OrderReader


@dataclass(frozen=True, slots=True)
class Told:
    """A saga as its events tell it.

    Attributes: moved_at: by step and subject, when it last changed, by the database's clock.
    """

    saga: "Fulfilment"
    moved_at: "Mapping[tuple[str, str], datetime]"


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
    from domain.fulfilment.events import FulfilmentEvent
    from domain.fulfilment.state import FULFILMENT, Fulfilment, StepEvent
    from domain.ids import fulfilment_stream

    stream = fulfilment_stream(order_id)
    its = [entry for entry in reader.entries(order_id) if entry.stream == stream]
    saga: Fulfilment | None = None
    moved_at: dict[tuple[str, str], datetime] = {}
    for recorded in reader.open(its):
        event = recorded.event
        if isinstance(event, FulfilmentEvent):  # as all of its stream are
            saga = FULFILMENT.evolve(saga, event)
        if isinstance(event, StepEvent):
            moved_at[event.step, event.subject] = recorded.recorded_at
    return None if saga is None else Told(saga, moved_at)


async def steps_in(
    conditions: Sequence["Condition"], order_id: "OrderId", ports: "Ports"
) -> Sequence["StepRecord"]:
    """List the steps that are in one of some conditions; none, where no saga leads the order."""
    from domain.fulfilment.state import FULFILMENT
    from domain.ids import fulfilment_stream

    saga = (await ports.store.load(fulfilment_stream(order_id), FULFILMENT)).state
    live = () if saga is None else saga.live()
    return [record for record in live if record.condition in conditions]
