"""Which order is meant, and which of its steps are stuck."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from api.cli.orders import find_order

if TYPE_CHECKING:
    from commands.ports import Ports
    from domain.fulfilment.state import StepRecord
    from domain.ids import OrderId


def find(order: str) -> "OrderId":
    """Find an order by id or number, or end with exit code 1."""
    from infrastructure import composition
    from infrastructure.settings import StoreSettings

    reader = composition.order_reader(StoreSettings(), pool_size=1)
    try:
        return find_order(reader, order)
    finally:
        reader.close()


async def stuck_steps(order_id: "OrderId", ports: "Ports") -> Sequence["StepRecord"]:
    """List the stuck steps; none, where no saga leads the order."""
    from domain.fulfilment.state import FULFILMENT, Condition
    from domain.ids import fulfilment_stream

    saga = (await ports.store.load(fulfilment_stream(order_id), FULFILMENT)).state
    live = () if saga is None else saga.live()
    return [record for record in live if record.condition is Condition.STUCK]
