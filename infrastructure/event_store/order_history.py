"""The history of one order, from the event store: who, when, what, why."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec

from domain.envelope import Recorded
from domain.ids import OrderId
from domain.order.events import OrderEvent, OrderPlaced
from domain.personal import FORGOTTEN, SEALED
from infrastructure.event_store.order_reader import OrderReader, UnreadableEventError
from projections.ports import HistoryItem, OrderHistoryPage, OrderParkedError


class EventStoreOrderHistory:
    """Implements `projections.ports.OrderHistory`."""

    def __init__(self, reader: OrderReader, *, threads: int) -> None:
        self._reader = reader
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="history")

    async def history(self, order_id: OrderId, *, show_personal: bool) -> OrderHistoryPage | None:
        read = partial(read_history, self._reader, order_id, show_personal=show_personal)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, read)
        except UnreadableEventError as error:
            raise OrderParkedError(str(error)) from error


def read_history(
    reader: OrderReader, order_id: OrderId, *, show_personal: bool
) -> OrderHistoryPage | None:
    """Read every event of an order, oldest first. Raises UnavailableError."""
    events = reader.events(order_id, open_sealed=show_personal)
    if not events:
        return None
    placed = events[0].event
    if not isinstance(placed, OrderPlaced):
        raise TypeError(f"the history of {order_id} does not begin with OrderPlaced")
    return OrderHistoryPage(placed.customer_id, [_item(recorded) for recorded in events])


def _item(recorded: Recorded[OrderEvent]) -> HistoryItem:
    envelope = recorded.envelope
    return HistoryItem(
        position=recorded.position,
        event_id=envelope.event_id,
        type=recorded.type,
        stream=recorded.stream,
        version=recorded.version,
        occurred_at=envelope.occurred_at,
        recorded_at=recorded.recorded_at,
        actor=envelope.actor,
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
        data=_data(recorded.event),
    )


def _data(event: OrderEvent) -> Mapping[str, Any]:
    """Write a payload as JSON values. A payment token is a secret: nobody's history shows it."""
    data: dict[str, Any] = msgspec.to_builtins(event)
    if not isinstance(event, OrderPlaced):
        return data
    if event.personal in (SEALED, FORGOTTEN):
        data["personal"] = event.personal.name
    elif event.personal.payment_token is not None:
        data["personal"]["payment_token"] = "[hidden]"  # noqa: S105
    return data
