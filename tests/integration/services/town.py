"""The services around one database, without Kafka: each is handed the log as a group would be.

What Kafka and the people with kill -9 may do is done to them: chunks come again, a service is cut
off in the middle of one, and goes on from where it last committed.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from commands.order.change import Target
from commands.order.file import OrderFile, load_files
from commands.ports import Ports, Request
from commands.shipment.packing import Dispatch, cancel_shipment, create_shipment, dispatch_shipment
from commands.shipment.tracking import record_scan
from domain.envelope import Actor, Role
from domain.ids import OrderId, ShipmentId
from domain.shipment.decisions import Scan
from domain.shipment.events import TrackingStatus
from domain.shipment.pieces import LineRequest
from domain.shipment.state import ShipmentStatus
from infrastructure import composition
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.event_store.recorder import EventLogRecorder, open_datastore
from infrastructure.postgres.tasks import Tasks
from infrastructure.services import fulfilment, inventory, payment
from infrastructure.services.payment_calls import CALLS
from infrastructure.services.reactions import Reactions
from infrastructure.services.run import Parts, Running
from infrastructure.settings import Settings

QUIET_ROUNDS = 3
MOST_ROUNDS = 2_000
PAUSE_S = 0.05
SOON_S = 3.0
# SKIP LOCKED: this waits for no service, so that no two wait for each other.
END_LEASES = """
UPDATE tasks t SET due_at = now()
  FROM (SELECT queue, key FROM tasks WHERE tries > 0 FOR UPDATE SKIP LOCKED) AS one
 WHERE (t.queue, t.key) = (one.queue, one.key)
"""
SOON = "SELECT 1 FROM tasks WHERE due_at <= now() + make_interval(secs => %s)"


def asks(role: Role = Role.MERCHANT) -> Request:
    """Make a request of somebody in the shop."""
    name = f"{random.getrandbits(64):x}"
    return Request(Actor("warehouse", role), name, name, "test")


@dataclass(slots=True)
class _Worker:
    """One copy of a service. Attributes: offset: the position up to which it has committed."""

    running: Running
    reactions: Reactions
    offset: int = 0


@dataclass(slots=True)
class Town:
    """Services and a log.

    Attributes:
        draw: where trouble comes from; None: there is none.
        patient: a round ends with the calls of the provider that it began; else they go on.
    """

    parts: Parts
    recorder: EventLogRecorder
    workers: Sequence[_Worker]
    draw: random.Random | None = None
    cut: int = field(default=0)
    patient: bool = True

    @property
    def ports(self) -> Ports:
        return self.parts.ports

    async def rest(self) -> None:
        """Let the services work until nothing happens any more, nor will within seconds."""
        quiet = 0
        for _ in range(MOST_ROUNDS):
            busy = [await self._round(worker) for worker in self.workers]
            waits = await self._await_tasks()
            quiet = 0 if any(busy) or waits else quiet + 1
            if quiet == QUIET_ROUNDS:
                return
            if not any(busy):
                await asyncio.sleep(PAUSE_S)
        raise AssertionError("the services found no rest")

    async def until(self, came: Callable[[], Awaitable[bool]]) -> None:
        """Let the services work until something has come, whatever else is to be done."""
        for _ in range(MOST_ROUNDS):
            if await came():
                return
            await self.round()
            await asyncio.sleep(PAUSE_S)
        raise AssertionError("it never came")

    async def round(self) -> None:
        """Let each service look once; the leases of all that was taken run out."""
        for worker in self.workers:
            await self._round(worker)
        await self._await_tasks()

    async def _round(self, worker: _Worker) -> bool:
        entries = self.recorder.read_log(after=worker.offset, limit=500)
        done = await self._survive(worker.reactions.batch(entries)) if entries else False
        if done:
            worker.offset = entries[-1].position
        chores = (worker.reactions.retry, *worker.running.chores)
        made = [await self._survive(chore()) for chore in chores]
        if self.draw is not None and self.draw.random() < 0.1:
            worker.offset = self.draw.randint(0, worker.offset)  # a rebalance, or a wiped Kafka
            return True
        return bool(entries) or any(one is None for one in made)

    async def _survive(self, work: Any) -> Any:
        """Do it, unless it is cut off: then nobody knows how far it came (None)."""
        if self.draw is None or self.draw.random() > 0.3:
            return (await self._to_its_end(work)) or True
        try:
            async with asyncio.timeout(self.draw.uniform(0, 0.03)):
                return (await self._to_its_end(work)) or True
        except TimeoutError:
            self.cut += 1
            return None

    async def _to_its_end(self, work: Any) -> Any:
        """Do it, with the calls of the provider that it began; where it is cut off, so are they."""
        done = await work
        if self.patient:
            calls = (one for one in asyncio.all_tasks() if one.get_name().startswith(CALLS))
            # One that was cut off may still be ending; who waits for it would be cut off with it.
            await asyncio.gather(*(one for one in calls if not one.cancelling()))
        return done

    async def _await_tasks(self) -> bool:
        """Say whether a task is due soon; the lease of whoever was cut off runs out at once."""
        url = self.parts.settings.store.postgres_url.get_secret_value()
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(END_LEASES)
            cursor = await connection.execute(SOON, [SOON_S])
            return await cursor.fetchone() is not None

    async def file(self, order_id: OrderId) -> OrderFile:
        [loaded] = await load_files([order_id], self.ports)
        return loaded

    async def send(self, order_id: OrderId, pieces: Sequence[LineRequest]) -> ShipmentId:
        """Pack a parcel and hand it to the carrier."""
        shipment_id = await self.pack(order_id, pieces)
        await self.dispatch(order_id, shipment_id)
        return shipment_id

    async def pack(self, order_id: OrderId, pieces: Sequence[LineRequest]) -> ShipmentId:
        answer = await create_shipment(Target(order_id), pieces, asks(), self.ports)
        return ShipmentId(UUID(str(answer.body["shipment_id"])))

    async def dispatch(self, order_id: OrderId, shipment_id: ShipmentId) -> None:
        by = Dispatch("royal-mail", "RM1")
        await dispatch_shipment(Target(order_id), shipment_id, by, asks(), self.ports)

    async def unpack_all(self, order_id: OrderId) -> None:
        """Unpack the parcels that have not left."""
        shipments = (await self.file(order_id)).shipments.state
        for one in () if shipments is None else shipments.shipments:
            if one.status is ShipmentStatus.CREATED:
                target = Target(order_id)
                await cancel_shipment(target, one.shipment_id, "x", asks(), self.ports)

    async def deliver(
        self,
        order_id: OrderId,
        shipment_id: ShipmentId,
        status: TrackingStatus = TrackingStatus.DELIVERED,
    ) -> None:
        """End the way of a parcel."""
        scan = Scan(status, "END", datetime.now(UTC), "London")
        await record_scan(Target(order_id), shipment_id, scan, asks(), self.ports)


@asynccontextmanager
async def open_town(
    settings: Settings, *, copies: int = 1, draw: random.Random | None = None
) -> AsyncIterator[Town]:
    """Open a town with so many copies of each service."""
    store = settings.store
    url = store.postgres_url.get_secret_value()
    datastore = open_datastore(url, pool_size=2, connect_timeout_s=5)
    async with AsyncExitStack() as stack:
        stack.callback(datastore.close)
        ports = await stack.enter_async_context(composition.command_ports(store))
        pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = AsyncConnectionPool(
            url, kwargs={"autocommit": True}, min_size=1, max_size=4, open=False
        )
        await stack.enter_async_context(pool)
        parts = Parts(settings, ports, Tasks(pool))
        reader: OrderReader = composition.order_reader(store, pool_size=2)
        stack.callback(reader.close)
        workers = []
        for _ in range(copies):
            for service in (fulfilment, inventory, payment):
                running = await stack.enter_async_context(service.wire(parts))
                workers.append(_Worker(running, Reactions(running.service, reader, parts.tasks)))
        yield Town(parts, EventLogRecorder(datastore), workers, draw)
