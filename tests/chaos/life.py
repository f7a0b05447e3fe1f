"""A shop for drills of the whole life: customers order, the warehouse sends, the carrier delivers.

Everybody tries again until they have an answer, under the name of their first try: as a shop's own
back end would, whatever is killed meanwhile.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

import httpx
import psycopg

from commands.inventory.stock import ListItem, list_item
from commands.order.cancel import CancelOrder, cancel_order
from commands.order.change import Target
from commands.ports import Ports, Request
from commands.shipment.packing import Dispatch, create_shipment, dispatch_shipment
from commands.shipment.tracking import record_scan
from domain.envelope import Actor, Role
from domain.errors import DomainError, UnavailableError
from domain.ids import OrderId, ShipmentId, Sku
from domain.money import Currency
from domain.shipment.decisions import Scan
from domain.shipment.events import TrackingStatus
from domain.shipment.pieces import LineRequest

T = TypeVar("T")
SKUS = ("LAMP", "HEART", "RARE")
CARDS = ("tok_visa",) * 12 + (
    "tok_chargeDeclined",
    "tok_chargeDeclinedInsufficientFunds",
    "tok_timeoutAfterCharging",
)
CANCELLED, IN_TWO_PARCELS = 0.15, 0.3
AT_ONCE = 8
AGAIN_S = 0.2
WITHIN_S = 90.0
CONFIRMED = (
    "SELECT notification_id, order_id FROM events"
    " WHERE topic = 'order.confirmed.v1' AND notification_id > %s ORDER BY 1 LIMIT 200"
)


@dataclass
class Life:
    """Attributes: placed: acknowledged orders, with the lines that each has."""

    draw: random.Random
    ports: Ports
    customers: httpx.AsyncClient
    database_url: str
    placed: dict[OrderId, dict[Sku, int]] = field(default_factory=dict)
    sent: set[OrderId] = field(default_factory=set)
    cancelled: set[OrderId] = field(default_factory=set)

    async def stock(self, **pieces: int) -> None:
        for sku, on_hand in pieces.items():
            item = ListItem(Sku(sku), sku.title(), 1_999, Currency("GBP"), on_hand=on_hand)
            await self._insist(partial(list_item, item, self._asks(f"list {sku}"), self.ports))

    async def place(self, orders: int) -> None:
        """Place so many orders, some at a time."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with gate:
                await self._place()

        await asyncio.gather(*(one() for _ in range(orders)))

    async def work(self) -> None:
        """Be the warehouse, until cancelled: whatever is confirmed is sent, or called off."""
        position = 0
        while True:
            rows = await self._insist(partial(self._confirmed, position))
            for at, order_id in rows:
                if order_id not in self.placed:
                    break  # confirmed before it was acknowledged: a later look finds it
                await self._see_to(order_id)
                position = at
            await asyncio.sleep(AGAIN_S)

    async def _place(self) -> None:
        lines = {Sku(sku): self.draw.randint(1, 3) for sku in self.draw.sample(SKUS, 2)}
        body = {
            "currency": "GBP",
            "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines.items()],
            "customer": {"name": "Ada Byron", "email": "ada@example.com"},
            "payment_token": self.draw.choice(CARDS),
        }
        headers = {"Idempotency-Key": f"{self.draw.getrandbits(64):x}"}

        async def post() -> httpx.Response:
            answer = await self.customers.post("/v1/orders", json=body, headers=headers)
            if answer.is_server_error:
                raise UnavailableError("edge", answer.text)
            return answer

        answer = await self._insist(post)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        self.placed[OrderId(UUID(answer.json()["order_id"]))] = lines

    async def _confirmed(self, position: int) -> Sequence[tuple[int, OrderId]]:
        async with await psycopg.AsyncConnection.connect(
            self.database_url, autocommit=True, connect_timeout=2
        ) as connection:
            return await (await connection.execute(CONFIRMED, [position])).fetchall()

    async def _see_to(self, order_id: OrderId) -> None:
        lines = self.placed[order_id]
        if self.draw.random() < CANCELLED:
            command = CancelOrder(order_id, reason="changed my mind")
            asked = self._asks(f"cancel {order_id}")
            await self._insist(lambda: cancel_order(command, asked, self.ports))
            self.cancelled.add(order_id)
            return
        parcels = [[LineRequest(*line) for line in lines.items()]]
        if self.draw.random() < IN_TWO_PARCELS:
            parcels = [[LineRequest(*line)] for line in lines.items()]
        for number, pieces in enumerate(parcels):
            await self._send(order_id, number, pieces)
        self.sent.add(order_id)

    async def _send(self, order_id: OrderId, number: int, pieces: Sequence[LineRequest]) -> None:
        target, name = Target(order_id), f"{order_id} {number}"
        packed = await self._insist(
            lambda: create_shipment(target, pieces, self._asks(f"pack {name}"), self.ports)
        )
        shipment_id = ShipmentId(UUID(str(packed.body["shipment_id"])))
        dispatch = Dispatch("royal-mail", f"RM{self.draw.getrandbits(32)}")
        await self._insist(
            lambda: dispatch_shipment(
                target, shipment_id, dispatch, self._asks(f"send {name}"), self.ports
            )
        )
        now = datetime.now(UTC)
        for status in (TrackingStatus.IN_TRANSIT, TrackingStatus.DELIVERED):
            scan = Scan(status, str(status), now, "London")
            asked = self._asks(f"{status} {name}")
            await self._insist(partial(record_scan, target, shipment_id, scan, asked, self.ports))

    def _asks(self, name: str) -> Request:
        return Request(Actor("warehouse", Role.MERCHANT), name, name, "drill", idempotency_key=name)

    async def _insist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Try until there is an answer; a refusal is one."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    return await work()
                except (UnavailableError, httpx.TransportError, psycopg.OperationalError):
                    await asyncio.sleep(AGAIN_S)
                except DomainError as error:
                    if error.code != "too_much_contention":
                        raise


@asynccontextmanager
async def at_work(life: Life) -> AsyncIterator[Life]:
    """Have the warehouse at work for the length of a block."""
    working = asyncio.create_task(life.work())
    try:
        yield life
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    if not working.cancelled() and (error := working.exception()) is not None:
        raise error
