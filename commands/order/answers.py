"""What a command on an order answers."""

from collections.abc import Sequence
from functools import reduce

from commands.ports import Answer, Stream
from domain.order.events import OrderEvent
from domain.order.state import Order, evolve


def order_answer(stream: Stream[Order], events: Sequence[OrderEvent] = ()) -> Answer:
    """Give the order as it is after these events. Raises AssertionError if it was never placed."""
    order = reduce(evolve, events, stream.state)
    if order is None:
        raise AssertionError(f"{stream.stream} has no order")
    return Answer(
        {
            "order_id": str(order.order_id),
            "order_number": order.order_number,
            "version": stream.version + len(events),
            "status": str(order.status),
        }
    )
