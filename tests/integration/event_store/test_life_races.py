"""Commands on one order that exclude each other: whoever is stored first wins, whichever it is.

Two processes share a database. One loads and decides; before it stores that, the other one has
loaded, decided and stored. So each pair is tried in both interleavings, without any luck.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from commands.envelopes import address_events
from commands.order.cancel import CancelOrder, cancel_order
from commands.order.change import Target
from commands.order.file import load_file
from commands.order.place import place_order
from commands.order.revise import change_address, revise_order
from commands.ports import Answer, Append, EventStore, Ports, Write
from commands.shipment.carrier import CarrierScan
from commands.shipment.packing import Dispatch, cancel_shipment, create_shipment, dispatch_shipment
from commands.shipment.webhook import record_carrier_scans
from domain.errors import DomainError
from domain.ids import ShipmentId, Sku, order_stream
from domain.order.decisions import LineToRevise
from domain.order.events import OrderConfirmed
from domain.order.state import ORDER
from domain.personal import Address
from domain.shipment.decisions import Scan
from domain.shipment.events import TrackingStatus
from domain.shipment.pieces import LineRequest
from infrastructure.composition import RandomNames, SystemClock
from infrastructure.event_store.store import open_event_store
from tests.integration.event_store.test_event_store import MASTER_KEY, order, query, request

SKU = Sku("85123A")


@dataclass(frozen=True, slots=True)
class Scene:
    """A confirmed order of two pieces. Attributes: parcel: one of them, packed."""

    target: Target
    parcel: ShipmentId


Command: TypeAlias = Callable[[Scene, Ports], Awaitable[Answer]]


class Overtaken:
    """A store whose first append finds that somebody else has just been quicker."""

    def __init__(self, store: EventStore, overtake: Callable[[], Awaitable[Any]]) -> None:
        self._store = store
        self._overtake: Callable[[], Awaitable[Any]] | None = overtake

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, append: Append) -> Answer:
        if self._overtake is not None:
            overtake, self._overtake = self._overtake, None
            await overtake()
        return await self._store.append(append)


@pytest.fixture
async def processes(database_url: str) -> AsyncIterator[tuple[Ports, Ports]]:
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(
                open_event_store(database_url, MASTER_KEY, pool_size=2, pool_timeout_s=5)
            )
            for _ in range(2)
        ]
        first, second = (Ports(store, SystemClock(), RandomNames()) for store in stores)
        yield first, second


async def scene_in(ports: Ports) -> Scene:
    placed = await place_order(replace(order(), fulfilled_here=True), request("k"), ports)
    stream = await ports.store.load(order_stream(placed.order_id), ORDER)
    confirmed = address_events(
        [OrderConfirmed(placed.order_id)], request(), ports, occurred_at=ports.clock.now()
    )
    write = Write(stream, confirmed, placed.order_id)
    await ports.store.append(Append([write], request(), Answer({})))
    target = Target(placed.order_id)
    packed = await pack(Scene(target, ShipmentId(UUID(int=0))), ports)
    return Scene(target, ShipmentId(UUID(str(packed.body["shipment_id"]))))


async def pack(scene: Scene, ports: Ports) -> Answer:
    return await create_shipment(scene.target, [LineRequest(SKU, 1)], request(), ports)


async def unpack(scene: Scene, ports: Ports) -> Answer:
    return await cancel_shipment(scene.target, scene.parcel, "x", request(), ports)


async def dispatch(scene: Scene, ports: Ports) -> Answer:
    by = Dispatch("dhl", "N1")
    return await dispatch_shipment(scene.target, scene.parcel, by, request(), ports)


async def cancel(scene: Scene, ports: Ports) -> Answer:
    return await cancel_order(CancelOrder(scene.target.order_id, "x"), request(), ports)


async def redirect(scene: Scene, ports: Ports) -> Answer:
    return await change_address(scene.target, Address("IE"), request(), ports)


async def want_one(scene: Scene, ports: Ports) -> Answer:
    return await revise_order(scene.target, [LineToRevise(SKU, 1)], "x", request(), ports)


@pytest.mark.parametrize(
    ("wins", "loses", "code"),
    [
        (dispatch, cancel, "illegal_transition"),
        (cancel, dispatch, "illegal_transition"),
        (dispatch, redirect, "illegal_transition"),
        (dispatch, unpack, "illegal_transition"),
        (unpack, dispatch, "illegal_transition"),
        (pack, want_one, "quantity_below_parcels"),
        (want_one, pack, "quantity_above_remaining"),
    ],
)
async def test_of_two_that_exclude_each_other_the_one_that_is_stored_first_wins(
    processes: tuple[Ports, Ports], database_url: str, wins: Command, loses: Command, code: str
) -> None:
    first, second = processes
    scene = await scene_in(first)
    overtaken = replace(first, store=Overtaken(first.store, lambda: wins(scene, second)))
    before = query(database_url, "SELECT count(*) FROM events")[0][0]
    with pytest.raises(DomainError) as refused:
        await loses(scene, overtaken)
    assert refused.value.code == code
    assert query(database_url, "SELECT count(*) FROM events") == [(before + 1,)]


async def test_a_parcel_that_leaves_goes_where_the_order_was_last_sent(
    processes: tuple[Ports, Ports], database_url: str
) -> None:
    """A dispatch that a change of address overtakes is decided again, on the new address."""
    first, second = processes
    scene = await scene_in(first)
    overtaken = replace(first, store=Overtaken(first.store, lambda: redirect(scene, second)))
    await dispatch(scene, overtaken)
    stored = query(database_url, "SELECT topic FROM events ORDER BY notification_id DESC LIMIT 2")
    assert stored == [("shipment.dispatched.v1",), ("order.shipping_address_changed.v1",)]


async def test_scans_find_their_parcel_by_the_whole_number_and_the_last_dispatch(
    processes: tuple[Ports, Ports],
) -> None:
    ports, _ = processes
    scene = await scene_in(ports)
    younger = ShipmentId(UUID(str((await pack(scene, ports)).body["shipment_id"])))
    for parcel, number in ((younger, "N1"), (scene.parcel, "N1")):
        by = Dispatch("DHL", number)
        await dispatch_shipment(scene.target, parcel, by, request(), ports)
    at = ports.clock.now()
    scans = [
        CarrierScan(Scan(TrackingStatus.IN_TRANSIT, f"c{n}", at), None, "dhl", number)
        for n, number in enumerate(("N1", "N", "N1/", "N10", "N1"))
    ]
    refusals = await record_carrier_scans(scans, request(), ports)
    assert [one.code for one in refusals] == ["unknown_parcel"] * 3
    shipments = (await load_file(scene.target.order_id, ports)).shipments.state
    assert shipments is not None
    assert [len(one.scans) for one in shipments.shipments] == [2, 0]
