"""Pieces are conserved, whatever is decided on returns in whatever order."""

from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.errors import DomainError
from domain.ids import ReturnId, ShipmentId, Sku
from domain.returns import decisions
from domain.returns.decisions import LineToReceive
from domain.returns.events import ReturnEvent, ReturnReason, ReturnReceived
from domain.returns.state import Returns, evolve
from domain.returns.status import (
    ReturnStatus,
    return_requested_pieces,
    return_status,
    returned_pieces,
)
from domain.shipment.decisions import record_scan
from domain.shipment.events import TrackingStatus
from domain.shipment.state import evolve as evolve_shipments
from domain.shipment.status import delivered_pieces
from tests.domain.orders import line
from tests.domain.shipment.parcels import (
    NOW,
    P1,
    P2,
    confirmed,
    created,
    dispatched,
    given,
    scan,
    wanted,
)

NUMBERS = st.integers(0, 3)
SKUS = st.sampled_from(["A", "B"])
PIECES = st.integers(1, 3)


class ReturnsOfAnOrder(RuleBasedStateMachine):
    """Customers and shops do what they like; what is refused changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.order = confirmed(lines=[line(1, "A", 4), line(2, "B", 3)])
        self.shipments = given(
            created(quantity=4), created(P2, 2, number=2), dispatched(), dispatched(P2)
        )
        self.returns: Returns | None = None
        self.log: list[ReturnEvent] = []

    def id_of(self, number: int) -> ReturnId:
        return ReturnId(UUID(int=number))

    def apply(self, decide: Any) -> None:
        try:
            events = decide()
        except DomainError:
            return
        for event in events:
            self.log.append(event)
            self.returns = evolve(self.returns, event)

    @rule(parcel=st.sampled_from([P1, P2]))
    def deliver(self, parcel: ShipmentId) -> None:
        for event in record_scan(
            self.shipments, shipment_id=parcel, scan=scan(TrackingStatus.DELIVERED), now=NOW
        ):
            self.shipments = evolve_shipments(self.shipments, event)

    @rule(sku=SKUS, quantity=PIECES)
    def request(self, sku: str, quantity: int) -> None:
        number = len(self.returns.returns) if self.returns else 0
        self.apply(
            lambda: decisions.request(
                self.order,
                self.shipments,
                self.returns,
                return_id=self.id_of(number),
                lines=[wanted(sku, quantity)],
                reason_code=ReturnReason.OTHER,
                reason="x",
            )
        )

    @rule(number=NUMBERS)
    def approve(self, number: int) -> None:
        self.apply(lambda: decisions.approve(self.returns, return_id=self.id_of(number)))

    @rule(number=NUMBERS, sku=SKUS, quantity=PIECES, restock=st.integers(0, 3))
    def receive(self, number: int, sku: str, quantity: int, restock: int) -> None:
        self.apply(
            lambda: decisions.receive(
                self.order,
                self.returns,
                return_id=self.id_of(number),
                lines=[LineToReceive(Sku(sku), quantity, restock=restock)],
                worth_minor=100 * quantity,
                left_minor=200,
            )
        )

    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        self.apply(lambda: decisions.cancel(self.returns, return_id=self.id_of(number), reason="x"))

    @invariant()
    def no_piece_comes_back_twice_or_undelivered(self) -> None:
        arrived = delivered_pieces(self.shipments)
        asked_back, back = return_requested_pieces(self.returns), returned_pieces(self.returns)
        for number in (1, 2):
            assert 0 <= back.get(number, 0) <= asked_back.get(number, 0) <= arrived.get(number, 0)

    @invariant()
    def what_is_restocked_has_come(self) -> None:
        for event in self.log:
            if isinstance(event, ReturnReceived):
                assert all(0 <= one.restock <= one.quantity for one in event.lines)

    @invariant()
    def the_axis_fits_the_pieces(self) -> None:
        asked_back = sum(return_requested_pieces(self.returns).values())
        back = sum(returned_pieces(self.returns).values())
        status = return_status(self.returns)
        assert (status is ReturnStatus.NONE) == (asked_back == 0)
        assert (status is ReturnStatus.RETURNED) == (0 < back == asked_back)


TestReturnsOfAnOrder = ReturnsOfAnOrder.TestCase
