"""EasyPost's tracker webhooks: their signature, their words, and whose names are left out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from commands.shipment.carrier import CarrierScan
from domain.errors import DomainError
from domain.shipment.events import TrackingStatus
from infrastructure.carriers.easypost import EasyPostWebhooks
from tests.carriers.webhooks import EASYPOST, NOW, as_json, signed_by_easypost


def detail(status: str, finer: str | None, at: str, **more: Any) -> Mapping[str, Any]:
    return {
        "object": "TrackingDetail",
        "message": "signed for by A. LOVELACE",
        "status": status,
        "status_detail": finer,
        "datetime": at,
        "source": "USPS",
        "tracking_location": {"city": "ULM", "state": None, "country": "DE", "zip": "89073"},
    } | more


LEFT = detail("in_transit", "departed_facility", "2026-03-01T08:00:00Z")
ARRIVED = detail("delivered", "arrived_at_destination", "2026-03-01T10:00:00+01:00")


def event(*details: Mapping[str, Any], **tracker: Any) -> bytes:
    return as_json(
        {
            "object": "Event",
            "description": "tracker.updated",
            "mode": "production",
            "previous_attributes": {"status": "unknown"},
            "result": {
                "id": "trk_1",
                "object": "Tracker",
                "tracking_code": "9400",
                "carrier": "USPS",
                "status": "delivered",
                "signed_by": None,
                "est_delivery_date": "2026-03-02T00:00:00Z",
                "tracking_details": details,
            }
            | tracker,
        }
    )


def parse(said: bytes) -> tuple[CarrierScan, ...]:
    return EASYPOST.parse_webhook(signed_by_easypost(said), said, NOW)


def refusal(headers: Mapping[str, str], said: bytes) -> DomainError:
    with pytest.raises(DomainError) as caught:
        EASYPOST.parse_webhook(headers, said, NOW)
    return caught.value


def test_a_tracker_tells_all_its_scans_in_the_order_in_which_they_occurred() -> None:
    late = detail("in_transit", None, "2026-03-01T09:30:00Z", carrier_code="AR")
    early = ARRIVED
    told = parse(event(late, LEFT, early))
    assert [one.scan.scanned_at for one in told] == [
        datetime(2026, 3, 1, 8, tzinfo=UTC),
        datetime(2026, 3, 1, 9, tzinfo=UTC),
        datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
    ]
    assert [one.scan.code for one in told] == [
        "in_transit.departed_facility",
        "delivered.arrived_at_destination",
        "in_transit.AR",
    ]
    assert {(one.shipment_id, one.carrier, one.tracking_number) for one in told} == {
        (None, "usps", "9400")
    }


def test_the_estimate_is_told_with_the_newest_scan() -> None:
    told = parse(event(LEFT, detail("in_transit", None, "2026-03-01T07:00:00Z")))
    assert [one.scan.estimated_delivery for one in told] == [
        None,
        datetime(2026, 3, 2, tzinfo=UTC),
    ]


def test_times_without_an_offset_are_utc() -> None:
    [told] = parse(event(detail("in_transit", None, "2026-03-01T07:00:00")))
    assert told.scan.scanned_at == datetime(2026, 3, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "finer", "ours"),
    [
        ("in_transit", "weather_delay", TrackingStatus.DELAYED),
        ("failure", "lost", TrackingStatus.EXCEPTION),
        ("return_to_sender", "return", TrackingStatus.RETURN_TO_SENDER),
        (None, None, TrackingStatus.UNKNOWN),
        ("beamed_up", "status_update", TrackingStatus.UNKNOWN),
    ],
)
def test_their_words_become_ours(status: str, finer: str | None, ours: TrackingStatus) -> None:
    [told] = parse(event(detail(status, finer, "2026-03-01T07:00:00Z")))
    assert told.scan.status is ours


def test_nobodys_name_or_address_is_taken_over() -> None:
    [told] = parse(event(ARRIVED, signed_by="A. Lovelace"))
    assert (told.scan.place, told.scan.detail, told.scan.proof) == (
        "ULM, DE",
        "arrived at destination",
        "easypost trk_1",
    )
    assert "ovelace" not in repr(told).lower()
    assert "89073" not in repr(told)


def test_only_a_signed_delivery_has_a_proof() -> None:
    assert [one.scan.proof for one in parse(event(LEFT, ARRIVED))] == [None, None]
    left, arrived = parse(event(LEFT, ARRIVED, signed_by="A. Lovelace"))
    assert (left.scan.proof, arrived.scan.proof) == (None, "easypost trk_1")


def test_a_tracker_without_scans_tells_none() -> None:
    assert parse(event()) == ()


def test_events_about_other_things_tell_no_scans() -> None:
    assert parse(as_json({"description": "batch.updated", "result": {"id": "batch_1"}})) == ()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-hmac-signature": ""},
        {"x-hmac-signature": signed_by_easypost(event())["x-hmac-signature"][16:]},
        {"x-hmac-signature": "hmac-sha256-hex=\u00e9"},
        signed_by_easypost(event(), secret="another"),
        signed_by_easypost(event(LEFT)),
    ],
)
def test_a_webhook_that_is_not_signed_with_our_secret_is_refused(
    headers: Mapping[str, str],
) -> None:
    assert refusal(headers, event()).code == "bad_signature"


def test_the_secret_is_the_same_however_its_accents_are_written() -> None:
    decomposed = "se\u0301cret"
    headers = signed_by_easypost(event(LEFT), secret=decomposed)
    assert EASYPOST.parse_webhook(headers, event(LEFT), NOW)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (b"", ""),
        (b"{}", "/description"),
        (as_json({"description": "tracker.updated"}), "/result"),
        (event(tracking_code=None), "/result/tracking_code"),
        (event({**LEFT, "datetime": None}), "/result/tracking_details/0/datetime"),
        (event(*[LEFT] * 1_001), "/result/tracking_details"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_with_a_pointer(said: bytes, field: str) -> None:
    error = refusal(signed_by_easypost(said), said)
    assert (error.code, error.field) == ("unreadable_webhook", field)


def test_without_a_secret_nothing_is_read() -> None:
    with pytest.raises(ValueError, match="anybody could sign"):
        EasyPostWebhooks(SecretStr(""))
