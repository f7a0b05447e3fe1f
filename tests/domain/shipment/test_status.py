"""What an order's parcels amount to: the fulfillment axis, pieces by line, conservation."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.errors import DomainError
from domain.ids import ShipmentId, Sku
from domain.order import decisions as order_decisions
from domain.order.decisions import LineToCancel
from domain.order.events import CancelledLine, OrderLinesCancelled
from domain.order.parcels import NO_PARCELS
from domain.order.state import evolve as evolve_order
from domain.shipment import decisions
from domain.shipment.decisions import Scan
from domain.shipment.events import ShipmentDelivered, ShipmentEvent, TrackingStatus
from domain.shipment.state import SHIPMENTS, Shipments, ShipmentStatus, evolve
from domain.shipment.status import (
    FulfillmentStatus,
    delivered_pieces,
    fulfillment_status,
    parcel_pieces,
    parcels_of,
    shipped_pieces,
)
from tests.domain.orders import ORDER_ID, WHY, line
from tests.domain.shipment.parcels import (
    NOW,
    P2,
    after,
    came_back,
    cancelled,
    confirmed,
    created,
    delivered,
    dispatched,
    given,
    hour,
    on_its_way,
    scan,
    wanted,
)

FIVE = created(quantity=5)
F = FulfillmentStatus


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ((), F.UNFULFILLED),
        ((FIVE,), F.UNFULFILLED),
        ((FIVE, cancelled()), F.UNFULFILLED),
        ((created(), dispatched()), F.PARTIALLY_FULFILLED),
        ((FIVE, dispatched()), F.FULFILLED),
        ((FIVE, dispatched(), came_back()), F.UNFULFILLED),
        ((created(), dispatched(), delivered()), F.PARTIALLY_DELIVERED),
        ((created(), dispatched(), delivered(), created(P2, 3)), F.PARTIALLY_DELIVERED),
        ((FIVE, dispatched(), delivered()), F.DELIVERED),
    ],
)
def test_the_fulfillment_axis_tells_how_much_has_left_and_arrived(
    events: tuple[ShipmentEvent, ...], status: FulfillmentStatus
) -> None:
    assert fulfillment_status(confirmed(), after(None, events)) is status


def test_cancelled_pieces_are_not_waited_for() -> None:
    order = confirmed(OrderLinesCancelled(ORDER_ID, (CancelledLine(1, Sku("A"), 3),), "x", WHY))
    assert fulfillment_status(order, on_its_way()) is F.FULFILLED
    assert fulfillment_status(order, on_its_way(delivered())) is F.DELIVERED


def test_pieces_are_counted_by_line_over_all_parcels() -> None:
    shipments = on_its_way(delivered(), created(P2, 3), dispatched(P2))
    assert parcel_pieces(shipments) == {1: 5}
    assert shipped_pieces(shipments) == {1: 5}
    assert delivered_pieces(shipments) == {1: 2}


@pytest.mark.parametrize(
    ("events", "pieces", "left"),
    [
        ((created(),), {1: 2}, False),
        ((created(), dispatched()), {1: 2}, True),
        ((created(), dispatched(), delivered()), {1: 2}, True),
        ((created(), dispatched(), came_back()), {}, False),
        ((created(), cancelled()), {}, False),
    ],
)
def test_the_order_is_told_what_is_in_parcels_and_whether_one_has_left(
    events: tuple[ShipmentEvent, ...],
    pieces: dict[int, int],
    left: bool,  # noqa: FBT001
) -> None:
    parcels = parcels_of(given(*events))
    assert (dict(parcels.pieces), parcels.dispatched) == (pieces, left)
    assert parcels_of(None) == NO_PARCELS


def test_parcels_survive_a_snapshot() -> None:
    shipments = on_its_way(delivered(at=hour(1)), created(P2))
    assert msgspec.json.decode(msgspec.json.encode(shipments), type=SHIPMENTS.state) == shipments


def test_an_event_of_a_parcel_that_was_never_created_crashes() -> None:
    for before in (None, given(created(P2))):
        with pytest.raises(AssertionError):
            evolve(before, dispatched())


SKUS = st.sampled_from(["A", "B"])
PARCELS = st.integers(0, 3)


class ParcelsOfAnOrder(RuleBasedStateMachine):
    """People and carriers do what they like; what is refused changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.order = confirmed(lines=[line(1, "A", 4), line(2, "B", 3)])
        self.shipments: Shipments | None = None
        self.log: list[ShipmentEvent] = []
        self.ends: dict[ShipmentId, ShipmentStatus] = {}

    def id_of(self, number: int) -> ShipmentId:
        return ShipmentId(UUID(int=number))

    def apply(self, decide: Any) -> None:
        try:
            events = decide()
        except DomainError:
            return
        self.log.extend(events)
        self.shipments = after(self.shipments, events)

    @rule(sku=SKUS, quantity=st.integers(1, 4))
    def create(self, sku: str, quantity: int) -> None:
        number = len(self.shipments.shipments) if self.shipments else 0
        self.apply(
            lambda: decisions.create(
                self.order,
                self.shipments,
                shipment_id=self.id_of(number),
                lines=[wanted(sku, quantity)],
            )
        )

    @rule(number=PARCELS)
    def dispatch(self, number: int) -> None:
        self.apply(
            lambda: decisions.dispatch(
                self.order,
                self.shipments,
                shipment_id=self.id_of(number),
                carrier="dhl",
                tracking_number=None,
                estimated_delivery=None,
            )
        )

    @rule(number=PARCELS)
    def cancel(self, number: int) -> None:
        self.apply(
            lambda: decisions.cancel(self.shipments, shipment_id=self.id_of(number), reason="x")
        )

    @rule(number=PARCELS, status=st.sampled_from(TrackingStatus), at=st.integers(0, 5))
    def tell(self, number: int, status: TrackingStatus, at: int) -> None:
        said: Scan = scan(status, hour(at))
        for _ in range(2):  # webhooks come twice
            self.apply(
                lambda: decisions.record_scan(
                    self.shipments, shipment_id=self.id_of(number), scan=said, now=NOW
                )
            )

    @rule(sku=SKUS, quantity=st.integers(1, 2))
    def cancel_pieces(self, sku: str, quantity: int) -> None:
        try:
            events = order_decisions.cancel_lines(
                self.order,
                parcels_of(self.shipments),
                lines=[LineToCancel(Sku(sku), quantity)],
                reason="x",
                reason_code=WHY,
            )
        except DomainError:
            return
        for event in events:
            self.order = evolve_order(self.order, event)

    @invariant()
    def no_piece_is_in_two_parcels_or_unwanted(self) -> None:
        packed, shipped = parcel_pieces(self.shipments), shipped_pieces(self.shipments)
        arrived = delivered_pieces(self.shipments)
        for one in self.order.lines:
            number = one.line_number
            assert (
                0
                <= arrived.get(number, 0)
                <= shipped.get(number, 0)
                <= packed.get(number, 0)
                <= self.order.remaining(one)
            )

    @invariant()
    def what_has_ended_stays_as_it_ended(self) -> None:
        for parcel in self.shipments.shipments if self.shipments else ():
            if parcel.status in (ShipmentStatus.DELIVERED, ShipmentStatus.RETURNED_TO_SENDER):
                assert self.ends.setdefault(parcel.shipment_id, parcel.status) is parcel.status
        arrivals = [event.shipment_id for event in self.log if isinstance(event, ShipmentDelivered)]
        assert len(arrivals) == len(set(arrivals))

    @invariant()
    def scans_are_in_order_and_different(self) -> None:
        for parcel in self.shipments.shipments if self.shipments else ():
            times = [one.scanned_at for one in parcel.scans]
            assert times == sorted(times)
            assert len({(one.code, one.scanned_at) for one in parcel.scans}) == len(parcel.scans)


TestParcelsOfAnOrder = ParcelsOfAnOrder.TestCase
