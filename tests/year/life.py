"""Lives the year's sales: a supplier, customers with their banks, a warehouse and a carrier.

All that is between them, from the reservation to the refund, is the services' work. Nobody here
asks what they did with it: what must hold at the end is in `tests/agreement.py`.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import UUID

import psycopg

from api.importing.matching import Cancellation
from api.order.schemas import PlaceOrderBody
from commands.inventory.stock import ListItem, list_item, load_items, receive_stock
from commands.order.cancel import CancelOrder, cancel_order
from commands.order.change import Target
from commands.order.place import place_order
from commands.payment.webhook import record_provider_event
from commands.ports import Ports, Request
from commands.returns.returning import (
    RequestReturn,
    approve_return,
    receive_return,
    request_return,
)
from commands.shipment.packing import Dispatch, create_shipment, dispatch_shipment
from commands.shipment.tracking import record_scan
from domain.envelope import Actor, Role
from domain.ids import OrderId, ReturnId, ShipmentId, Sku
from domain.inventory.location import MAIN
from domain.money import Currency
from domain.order.decisions import LineToCancel
from domain.returns.decisions import LineToReceive
from domain.returns.events import ReturnReason
from domain.shipment.decisions import Scan
from domain.shipment.events import TrackingStatus
from domain.shipment.pieces import LineRequest
from infrastructure.payments.sandbox import SandboxGateway
from tests.year.sales import Sale, Supply

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 8
GBP = Currency("GBP")
WAY = (TrackingStatus.IN_TRANSIT, TrackingStatus.OUT_FOR_DELIVERY, TrackingStatus.DELIVERED)
CONFIRMED, COMPLETED = "order.confirmed.v1", "order.completed.v1"
OFF = ("order.rejected.v1", "order.expired.v1", "order.cancelled.v2")
NEWS = "SELECT order_id, topic FROM events WHERE notification_id > %s AND topic = ANY(%s)"
HEAD = "SELECT coalesce(max(notification_id), 0) FROM events"
WAITING = "SELECT order_id, reference FROM sandbox.authorizations WHERE status = 'action_required'"


class Until(Protocol):
    """Lets the services work until something has come. Raises AssertionError: it never came."""

    async def __call__(self, came: Callable[[], Awaitable[bool]]) -> None: ...


@dataclass(slots=True)
class Year:
    """Attributes: lived: the sales that were placed, by order."""

    ports: Ports
    sandbox: SandboxGateway
    connection: psycopg.AsyncConnection[Any]
    until: Until
    lived: dict[OrderId, Sale] = field(default_factory=dict)
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def live(self, sales: Sequence[Sale]) -> None:
        """Live some sales side by side, from the order to the last that comes back."""
        after = await self._head()
        await self._stock(sales)
        placed: dict[OrderId, Sale] = {}
        # Those for whom nothing was received come last, and find what others have left.
        for supply in Supply:
            some = [sale for sale in sales if sale.supply is supply]
            new = dict(zip(await self._all(self._place, some), some, strict=True))
            placed |= new
            self.lived |= new
            await self.until(partial(self._have, set(new), (CONFIRMED, *OFF), after))
        confirmed = await self._which(CONFIRMED, after=after)
        going = [(one, sale) for one, sale in placed.items() if one in confirmed]
        await self._all(self._send, going)
        await self.until(partial(self._have, set(placed), (COMPLETED, *OFF), after))
        await self._all(self._take_back, going)

    async def _stock(self, sales: Sequence[Sale]) -> None:
        """Receive what the shelves lack for the sales whose goods come in time."""
        needed: Counter[str] = Counter()
        lines = {line.sku: line for sale in sales for line in sale.order.lines}
        for sale in sales:
            for line in sale.order.lines:
                needed[line.sku] += line.quantity if sale.supply is Supply.IN_TIME else 0
        streams = await load_items([Sku(sku) for sku in lines], self.ports.store)
        there = {one.state.sku: one.state.available for one in streams if one.state is not None}

        async def receive(sku: Sku) -> None:
            short = needed[sku] - there.get(sku, 0)
            if sku not in there:
                line = lines[sku]
                item = ListItem(sku, line.name, line.unit_price_minor, GBP, on_hand=short)
                await list_item(item, _asks(), self.ports)
            elif short > 0:
                await receive_stock(sku, MAIN, short, _asks(), self.ports)

        await self._all(receive, [Sku(sku) for sku in lines])

    async def _place(self, sale: Sale) -> OrderId:
        told = sale.order.body()
        for elsewhere in ("payment", "placed_at"):
            del told[elsewhere]
        body = PlaceOrderBody.model_validate({**told, "payment_token": sale.card.token})
        answer = await place_order(body.to_command(), _asks(Role.SERVICE), self.ports)
        return answer.order_id

    async def _have(self, orders: set[OrderId], topics: Sequence[str], after: int) -> bool:
        """Say whether each order has come so far; who is asked by their bank answers meanwhile."""
        waiting = await (await self.connection.execute(WAITING)).fetchall()
        for order_id, reference in waiting:
            sale = self.lived[order_id]
            await self.sandbox.act(reference, approve=sale.card.confirms)
            headers, body = self.sandbox.webhook("attempt", reference)
            event = await self.sandbox.parse_webhook(headers, body)
            if event is not None:
                await record_provider_event(event, self.sandbox.name, self.ports)
        return orders <= await self._which(*topics, after=after)

    async def _send(self, confirmed: tuple[OrderId, Sale]) -> None:
        order_id, sale = confirmed
        for off in sale.called_off:
            command = CancelOrder(
                order_id,
                reason=f"cancellation {off.invoice}",
                lines=[LineToCancel(*line) for line in _lines(off)],
            )
            await cancel_order(command, _asks(Role.CUSTOMER), self.ports)
        skus = {number: Sku(line.sku) for number, line in enumerate(sale.order.lines, start=1)}
        for nth, parcel in enumerate(sale.parcels(), start=1):
            pieces = [LineRequest(skus[line], count, line) for line, count in parcel.items()]
            await self._send_parcel(order_id, pieces, f"RM{sale.order.invoice}{nth}")

    async def _send_parcel(
        self, order_id: OrderId, lines: Sequence[LineRequest], tracking: str
    ) -> None:
        target = Target(order_id)
        packed = await create_shipment(target, lines, _asks(), self.ports)
        parcel = ShipmentId(UUID(str(packed.body["shipment_id"])))
        dispatch = Dispatch("royal-mail", tracking)
        await dispatch_shipment(target, parcel, dispatch, _asks(), self.ports)
        now = datetime.now(UTC)
        for hours, status in enumerate(WAY, start=-len(WAY)):
            scan = Scan(status, str(status), now + timedelta(hours=hours), "London")
            await record_scan(target, parcel, scan, _asks(), self.ports)

    async def _take_back(self, delivered: tuple[OrderId, Sale]) -> None:
        """Take back what came back in that year; of two pieces one can be sold again."""
        order_id, sale = delivered
        target = Target(order_id)
        for back in sale.brought_back:
            lines = [LineRequest(*line) for line in _lines(back)]
            command = RequestReturn(lines, ReturnReason.UNWANTED, f"return {back.invoice}")
            asked = await request_return(target, command, _asks(Role.CUSTOMER), self.ports)
            name = ReturnId(UUID(str(asked.body["return_id"])))
            await approve_return(target, name, _asks(), self.ports)
            come = [LineToReceive(*line, restock=(line[1] + 1) // 2) for line in _lines(back)]
            await receive_return(target, name, come, _asks(), self.ports)

    async def _which(self, *topics: str, after: int) -> set[OrderId]:
        cursor = await self.connection.execute(NEWS, [after, list(topics)])
        return {OrderId(order_id) for order_id, _ in await cursor.fetchall()}

    async def _head(self) -> int:
        row = await (await self.connection.execute(HEAD)).fetchone()
        assert row is not None
        return int(row[0])

    async def _all(self, work: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
        """Do it for all items, some at a time; the first failure ends it."""

        async def one(item: T) -> R:
            async with self._gate:
                return await work(item)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
        return [task.result() for task in tasks]


def _lines(back: Cancellation) -> Sequence[tuple[Sku, int, int]]:
    """Give sku, pieces and line number of what was taken back."""
    return [(Sku(sku), pieces, number) for (sku, number), pieces in back.quantities.items()]


def _asks(role: Role = Role.MERCHANT) -> Request:
    name = secrets.token_hex(8)
    return Request(Actor("gift-shop", role), name, name, "year")
