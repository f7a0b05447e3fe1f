"""The rules of scans: they come late, twice and out of order, and a delivery stands."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import pytest

from domain.shipment import decisions
from domain.shipment.decisions import Scan
from domain.shipment.events import (
    DeliveryAttempted,
    DeliveryExceptionRaised,
    EstimatedDeliveryChanged,
    ProofOfDeliveryReceived,
    ShipmentDelivered,
    ShipmentEvent,
    ShipmentOutForDelivery,
    ShipmentReturnedToSender,
    ShipmentTrackingUpdated,
    TrackingStatus,
)
from domain.shipment.state import Shipment, Shipments, ShipmentStatus
from tests.domain.orders import ORDER_ID, refused
from tests.domain.shipment.parcels import (
    NOON,
    NOW,
    P1,
    P2,
    SOON,
    after,
    came_back,
    cancelled,
    created,
    delivered,
    given,
    hour,
    on_its_way,
    scan,
)

T = TrackingStatus
OTHERS = (T.PRE_TRANSIT, T.IN_TRANSIT, T.AVAILABLE_FOR_PICKUP, T.DELAYED, T.EXPIRED, T.UNKNOWN)
LATER = SOON + timedelta(days=1)


def record(shipments: Shipments | None, told: Scan) -> tuple[ShipmentEvent, ...]:
    return decisions.record_scan(shipments, shipment_id=P1, scan=told, now=NOW)


def told(*scans: Scan) -> Shipment:
    """Give the parcel after its carrier told all this, in this order."""
    shipments: Shipments | None = on_its_way()
    for one in scans:
        shipments = after(shipments, record(shipments, one))
    assert shipments is not None
    return shipments.shipments[0]


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (T.DELIVERED, ShipmentDelivered(ORDER_ID, P1, "C", NOON, "Ulm", "signature 7")),
        (T.OUT_FOR_DELIVERY, ShipmentOutForDelivery(ORDER_ID, P1, "C", NOON, "Ulm")),
        (T.ATTEMPTED_DELIVERY, DeliveryAttempted(ORDER_ID, P1, "C", NOON, "Ulm", "d")),
        (T.EXCEPTION, DeliveryExceptionRaised(ORDER_ID, P1, "C", NOON, "Ulm", "d")),
        (T.RETURN_TO_SENDER, ShipmentReturnedToSender(ORDER_ID, P1, "C", NOON, "Ulm")),
        *(
            (status, ShipmentTrackingUpdated(ORDER_ID, P1, status, "C", NOON, "Ulm", "d"))
            for status in OTHERS
        ),
    ],
)
def test_each_tracking_status_has_its_event(status: TrackingStatus, event: ShipmentEvent) -> None:
    said = scan(status, code="C", place="Ulm", detail="d", proof="signature 7")
    assert record(on_its_way(), said) == (event,)


def test_a_proof_that_comes_after_the_delivery_is_kept_once() -> None:
    arrived = on_its_way(delivered())
    same = scan(T.DELIVERED, code="DLV", proof="signature 7")
    assert record(arrived, same) == (ProofOfDeliveryReceived(ORDER_ID, P1, "signature 7"),)
    later = scan(T.DELIVERED, code="POD", place="Ulm", proof="signature 7")
    noted, proof = record(arrived, later)
    assert isinstance(noted, ShipmentTrackingUpdated)
    assert proof == ProofOfDeliveryReceived(ORDER_ID, P1, "signature 7")
    proven = after(arrived, (proof,))
    assert record(proven, same) == ()
    assert record(proven, scan(T.DELIVERED, code="DLV", proof="another")) == ()


def test_what_is_no_delivery_proves_none() -> None:
    assert record(on_its_way(came_back()), scan(T.DELIVERED, code="X", proof="p"))[1:] == ()
    arrived = on_its_way(delivered())
    assert record(arrived, scan(T.IN_TRANSIT, code="X", proof="p"))[1:] == ()


def test_a_scan_that_is_told_twice_counts_once() -> None:
    first = scan(T.IN_TRANSIT)
    shipments = after(on_its_way(), record(on_its_way(), first))
    assert record(shipments, first) == ()
    assert record(shipments, scan(T.IN_TRANSIT, detail="in other words")) == ()


def test_another_code_or_another_time_is_another_scan() -> None:
    shipments = after(on_its_way(), record(on_its_way(), scan(T.IN_TRANSIT)))
    assert record(shipments, scan(T.IN_TRANSIT, hour(1)))
    assert record(shipments, scan(T.IN_TRANSIT, code="DEP"))


def test_the_same_scan_of_another_parcel_is_another_scan() -> None:
    shipments = on_its_way(created(P2))
    scanned = after(shipments, record(shipments, scan(T.IN_TRANSIT)))
    assert scanned is not None
    assert [len(one.scans) for one in scanned.shipments] == [1, 0]


def test_scans_stand_in_the_order_in_which_they_occurred() -> None:
    parcel = told(
        scan(T.OUT_FOR_DELIVERY, hour(9)), scan(T.IN_TRANSIT, hour(1)), scan(T.DELAYED, hour(5))
    )
    assert [one.status for one in parcel.scans] == [T.IN_TRANSIT, T.DELAYED, T.OUT_FOR_DELIVERY]
    assert parcel.tracking is T.OUT_FOR_DELIVERY


def test_a_late_scan_does_not_undo_a_delivery() -> None:
    for status in set(T) - {T.DELIVERED}:
        for at in (hour(-1), hour(1)):
            parcel = told(scan(T.DELIVERED, NOON), scan(status, at))
            assert (parcel.status, parcel.tracking) == (ShipmentStatus.DELIVERED, T.DELIVERED)
            assert len(parcel.scans) == 2


def test_a_parcel_ends_once_and_a_later_end_is_only_noted() -> None:
    for ended, other in itertools.product(
        (delivered(), came_back()), (T.DELIVERED, T.RETURN_TO_SENDER)
    ):
        events = record(on_its_way(ended), scan(other, hour(1)))
        assert [type(event) for event in events] == [ShipmentTrackingUpdated]


def test_the_order_in_which_scans_are_told_does_not_matter_before_the_end() -> None:
    scans = [
        scan(T.PRE_TRANSIT, hour(0)),
        scan(T.IN_TRANSIT, hour(3)),
        scan(T.ATTEMPTED_DELIVERY, hour(7)),
        scan(T.DELIVERED, hour(9)),
    ]
    assert {told(*told_so) for told_so in itertools.permutations(scans)} == {told(*scans)}


def test_a_scan_with_a_new_estimate_changes_it() -> None:
    events = record(on_its_way(), scan(T.DELAYED, estimated_delivery=LATER))
    assert events[1:] == (EstimatedDeliveryChanged(ORDER_ID, P1, LATER),)
    assert told(scan(T.DELAYED, estimated_delivery=LATER)).estimated_delivery == LATER


def test_the_estimate_of_a_late_scan_is_older_news() -> None:
    parcel = told(
        scan(T.DELAYED, hour(5), estimated_delivery=LATER),
        scan(T.IN_TRANSIT, hour(1), estimated_delivery=NOON),
    )
    assert parcel.estimated_delivery == LATER


def test_a_new_estimate_counts_without_a_new_scan() -> None:
    shipments = after(on_its_way(), record(on_its_way(), scan(T.IN_TRANSIT)))
    again = record(shipments, scan(T.IN_TRANSIT, estimated_delivery=LATER))
    assert again == (EstimatedDeliveryChanged(ORDER_ID, P1, LATER),)
    assert record(shipments, scan(T.IN_TRANSIT, estimated_delivery=SOON)) == ()


@pytest.mark.parametrize("status", [T.DELIVERED, T.RETURN_TO_SENDER])
def test_what_has_ended_is_not_expected(status: TrackingStatus) -> None:
    assert len(record(on_its_way(), scan(status, estimated_delivery=LATER))) == 1
    ended = on_its_way(delivered())
    assert len(record(ended, scan(T.IN_TRANSIT, hour(1), estimated_delivery=LATER))) == 1


@pytest.mark.parametrize(
    ("shipments", "status"),
    [(given(created()), "created"), (given(created(), cancelled()), "cancelled")],
)
def test_a_parcel_that_has_not_left_has_no_scans(shipments: Shipments, status: str) -> None:
    error = refused(lambda: record(shipments, scan(T.IN_TRANSIT)))
    assert (error.code, error.extra) == ("illegal_transition", {"shipment_status": status})


def test_a_scan_of_an_unknown_parcel_is_refused() -> None:
    assert refused(lambda: record(None, scan(T.IN_TRANSIT))).code == "unknown_shipment"


@pytest.mark.parametrize(("ahead_h", "legal"), [(24, True), (24.1, False)])
def test_a_carriers_clock_may_be_a_day_ahead_and_no_more(ahead_h: float, legal: bool) -> None:  # noqa: FBT001
    at: datetime = NOW + timedelta(hours=ahead_h)
    if legal:
        assert record(on_its_way(), scan(T.IN_TRANSIT, at))
    else:
        error = refused(lambda: record(on_its_way(), scan(T.IN_TRANSIT, at)))
        assert (error.code, error.field) == ("scanned_in_future", "/scanned_at")


def test_a_parcel_has_a_bounded_number_of_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.shipment.decisions.tracking.MOST_SCANS", 1)
    full = on_its_way(*record(on_its_way(), scan(T.IN_TRANSIT)))
    assert refused(lambda: record(full, scan(T.IN_TRANSIT, hour(1)))).code == "too_many_scans"
    assert record(full, scan(T.IN_TRANSIT)) == ()


@pytest.mark.parametrize("end", [T.DELIVERED, T.RETURN_TO_SENDER])
def test_the_end_of_its_way_is_recorded_however_many_scans_there_were(
    monkeypatch: pytest.MonkeyPatch, end: TrackingStatus
) -> None:
    monkeypatch.setattr("domain.shipment.decisions.tracking.MOST_SCANS", 1)
    full = on_its_way(*record(on_its_way(), scan(T.IN_TRANSIT)))
    [ended] = record(full, scan(end, hour(1)))
    assert isinstance(ended, ShipmentDelivered | ShipmentReturnedToSender)
    over = after(full, [ended])
    for later in (T.DELIVERED, T.RETURN_TO_SENDER):
        assert refused(partial(record, over, scan(later, hour(2)))).code == "too_many_scans"


def test_an_estimate_is_changed_by_people_while_the_parcel_is_on_its_way() -> None:
    def change(shipments: Shipments, to: datetime = LATER) -> Sequence[ShipmentEvent]:
        return decisions.change_estimate(shipments, shipment_id=P1, estimated_delivery=to)

    assert change(on_its_way()) == (EstimatedDeliveryChanged(ORDER_ID, P1, LATER),)
    assert change(on_its_way(), SOON) == ()
    for shipments in (given(created()), on_its_way(delivered()), given(created(), cancelled())):
        assert refused(partial(change, shipments)).code == "illegal_transition"
