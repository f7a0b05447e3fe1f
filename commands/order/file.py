"""An order's file: every stream of one order, as they are at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from commands.ports import Ports, Stream
from domain.aggregate import Aggregate
from domain.errors import DomainError
from domain.fulfilment.facts import Facts
from domain.fulfilment.overview import facts_of
from domain.fulfilment.standing import promised
from domain.fulfilment.state import FULFILMENT, Fulfilment
from domain.ids import (
    OrderId,
    StreamId,
    allocation_stream,
    fulfilment_stream,
    order_stream,
    payment_stream,
    returns_stream,
    shipments_stream,
)
from domain.inventory.allocation import ALLOCATION, Allocation
from domain.order.state import ORDER, Order
from domain.payment.state import PAYMENT, Payment
from domain.returns.state import RETURNS, Returns
from domain.shipment.state import SHIPMENTS, Shipments


@dataclass(frozen=True, slots=True)
class OrderFile:
    """Attributes: one stream per aggregate of the order; one without events has no state."""

    order: Stream[Order]
    payment: Stream[Payment]
    allocation: Stream[Allocation]
    shipments: Stream[Shipments]
    returns: Stream[Returns]
    fulfilment: Stream[Fulfilment]

    @property
    def position(self) -> int:
        """Give the log position of the last event in it: the ETag of the order's document."""
        return max(stream.position for stream in self.streams)

    def require_view(self, position: int | None) -> None:
        """Refuse what was decided on an older view; None: any. Raises DomainError `stale_view`."""
        if position not in (None, self.position):
            raise DomainError(
                "stale_view", "the order has changed since", extra={"position": self.position}
            )

    @property
    def facts(self) -> Facts:
        """Say where everything but the order and its saga stands."""
        return facts_of(
            allocation=self.allocation.state,
            payment=self.payment.state,
            shipments=self.shipments.state,
            returns=self.returns.state,
        )

    @property
    def promised_refunds(self) -> Mapping[str, int]:
        """Give what is to go back for receipts of returns, by refund, as far as it did not yet."""
        return promised(self.facts)

    @property
    def streams(self) -> Sequence[Stream[Any]]:
        return [getattr(self, one.name) for one in fields(self)]


async def load_files(order_ids: Sequence[OrderId], ports: Ports) -> Sequence[OrderFile]:
    """Load some files in one round trip. Raises StoreUnavailableError."""
    wanted = [one for order_id in order_ids for one in _streams(order_id)]
    loaded = iter(await ports.store.load_all(wanted))
    return [OrderFile(*(next(loaded) for _ in fields(OrderFile))) for _ in order_ids]


async def load_file(order_id: OrderId, ports: Ports) -> OrderFile:
    """Load one file. Raises StoreUnavailableError."""
    [file] = await load_files([order_id], ports)
    return file


def _streams(order_id: OrderId) -> Sequence[tuple[StreamId, Aggregate[Any, Any]]]:
    return (
        (order_stream(order_id), ORDER),
        (payment_stream(order_id), PAYMENT),
        (allocation_stream(order_id), ALLOCATION),
        (shipments_stream(order_id), SHIPMENTS),
        (returns_stream(order_id), RETURNS),
        (fulfilment_stream(order_id), FULFILMENT),
    )
