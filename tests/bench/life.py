"""The whole life of orders: from placed to completed, with every service a process of its own.

Orders are placed, and parcels sent and delivered, through the handlers in this process; all that is
in between is the services' work. Beside it: what the log takes when nothing but appends is done.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import psycopg
import uvloop

from commands.inventory.stock import ListItem, list_item
from commands.order.change import Target
from commands.order.place_own import OwnLine, PlaceOwnOrder, place_own_order
from commands.ports import Ports, Request
from commands.shipment.packing import Dispatch, create_shipment, dispatch_shipment
from commands.shipment.tracking import record_scan
from domain.envelope import Actor, Role
from domain.ids import CustomerId, OrderId, ShipmentId, Sku
from domain.money import Currency
from domain.personal import PersonalData
from domain.shipment.decisions import Scan
from domain.shipment.events import TrackingStatus
from domain.shipment.pieces import LineRequest
from infrastructure import composition
from infrastructure.event_store.sealing import read_master_key
from infrastructure.event_store.store import open_event_store
from tests.bench.append import appender
from tests.bench.report import Bar, Row
from tests.bench.rounds import Effort, interleave
from tests.bench.stack import Platform, Stack

T = TypeVar("T")

ORDERS_PER_S = 60
"""How many are placed per second of measuring; the figure is what came of them in its time."""
AT_ONCE = 32
HOT_ORDERS, HOT_PIECES = 1_000, 100
LOOK_EVERY_S = 0.02
WITHIN_S = 120.0
GBP = Currency("GBP")
ENDS = "SELECT count(*) FROM events WHERE topic = ANY(%s) AND notification_id > %s"
CONFIRMED = (
    "SELECT notification_id, order_id FROM events"
    " WHERE topic = 'order.confirmed.v1' AND notification_id > %s ORDER BY 1"
)


def measure(stack: Stack, effort: Effort) -> Sequence[Row]:
    platform = stack.platform(kafka=True)
    with ExitStack() as services:
        for name in ("relay", "fulfilment", "inventory", "payment"):
            services.enter_context(stack.service(name, platform.settings))
        ours = _Lives(platform)
        with appender(stack.platform()) as appends:
            figures = interleave({"ours": ours, "append": appends}, effort)
        services.enter_context(stack.service("inventory", platform.settings))
        share = min(1.0, effort.seconds)
        hot_s = ours.sell_hot_item(round(HOT_ORDERS * share), round(HOT_PIECES * share))
    notes = {
        "orders/s": ours.orders_per_s,
        "events of an order, with its stock's": ours.events_per_order,
        f"seconds of {HOT_ORDERS * share:,.0f} orders for {HOT_PIECES * share:,.0f} pieces": hot_s,
    }
    return [Row("placed to delivered", "events/s", figures, [Bar("append", 0.25)], notes)]


class _Lives:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.orders_per_s = self.events_per_order = 0.0

    def __call__(self, seconds: float) -> float:
        orders = max(8, int(seconds * ORDERS_PER_S))

        async def live(shop: "_Shop") -> float:
            sku = await shop.list_item(pieces=orders)
            before, started = await shop.head(), time.perf_counter()
            placing = asyncio.create_task(shop.place(sku, orders))
            await shop.send_all(sku, orders, after=before)
            await shop.until(("order.completed.v1",), orders, after=before)
            await placing
            taken_s = time.perf_counter() - started
            events = await shop.head() - before
            self.orders_per_s, self.events_per_order = orders / taken_s, events / orders
            return events / taken_s

        return self._run(live)

    def sell_hot_item(self, orders: int, pieces: int) -> float:
        """Give the seconds from the first of so many orders to the last decision on one."""

        async def sell(shop: "_Shop") -> float:
            sku = await shop.list_item(pieces=pieces)
            before, started = await shop.head(), time.perf_counter()
            await shop.place(sku, orders)
            await shop.until(("order.confirmed.v1",), pieces, after=before)
            await shop.until(("order.rejected.v1",), orders - pieces, after=before)
            return time.perf_counter() - started

        return self._run(sell)

    def _run(self, work: Callable[["_Shop"], Awaitable[T]]) -> T:
        async def run() -> T:
            async with (
                open_event_store(
                    self._platform.settings["ORDERTRAIL_POSTGRES_URL"],
                    read_master_key(self._platform.master_key_file),
                    pool_size=8,
                    pool_timeout_s=30,
                ) as store,
                await psycopg.AsyncConnection.connect(
                    self._platform.owner_url, autocommit=True
                ) as connection,
                asyncio.timeout(WITHIN_S),
            ):
                ports = Ports(store, composition.SystemClock(), composition.RandomNames())
                return await work(_Shop(ports, connection))

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run())


class _Shop:
    def __init__(
        self, ports: Ports, connection: "psycopg.AsyncConnection[tuple[int, UUID]]"
    ) -> None:
        self._ports = ports
        self._connection = connection
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def list_item(self, *, pieces: int) -> Sku:
        sku = Sku(f"LAMP-{secrets.token_hex(4)}")
        await list_item(ListItem(sku, "Lamp", 1_999, GBP, on_hand=pieces), _asks(), self._ports)
        return sku

    async def place(self, sku: Sku, orders: int) -> None:
        async def one(number: int) -> None:
            personal = PersonalData("Ada Byron", payment_token="tok_visa")
            customer = CustomerId(f"c-{number % 100}")
            command = PlaceOwnOrder(customer, personal, GBP, [OwnLine(sku, 1)])
            async with self._gate:
                await place_own_order(command, _asks(), self._ports)

        await asyncio.gather(*map(one, range(orders)))

    async def send_all(self, sku: Sku, orders: int, *, after: int) -> None:
        """Send and deliver each order as soon as it is confirmed."""
        sending: list[asyncio.Task[None]] = []
        while len(sending) < orders:
            cursor = await self._connection.execute(CONFIRMED, [after])
            for position, order_id in await cursor.fetchall():
                after = position
                sending.append(asyncio.create_task(self._send(OrderId(order_id), sku)))
            await asyncio.sleep(LOOK_EVERY_S)
        await asyncio.gather(*sending)

    async def _send(self, order_id: OrderId, sku: Sku) -> None:
        target = Target(order_id)
        packed = await create_shipment(target, [LineRequest(sku, 1)], _asks(), self._ports)
        parcel = ShipmentId(UUID(str(packed.body["shipment_id"])))
        await dispatch_shipment(target, parcel, Dispatch("dhl", "N1"), _asks(), self._ports)
        scan = Scan(TrackingStatus.DELIVERED, "DEL", datetime.now(UTC))
        await record_scan(target, parcel, scan, _asks(), self._ports)

    async def until(self, topics: Sequence[str], count: int, *, after: int) -> None:
        while True:
            row = await (await self._connection.execute(ENDS, [list(topics), after])).fetchone()
            if row is not None and row[0] >= count:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def head(self) -> int:
        query = "SELECT coalesce(max(notification_id), 0) FROM events"
        row = await (await self._connection.execute(query)).fetchone()
        return 0 if row is None else row[0]


def _asks() -> Request:
    name = secrets.token_hex(8)
    return Request(Actor("shop", Role.SERVICE), name, name, "bench")
