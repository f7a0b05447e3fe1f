"""Our own webhook format: Standard Webhooks' signature, and what the body may say."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from commands.shipment.carrier import CarrierScan
from domain.errors import DomainError
from domain.ids import ShipmentId
from domain.shipment.decisions import Scan
from domain.shipment.events import TrackingStatus
from infrastructure.carriers.generic import GenericWebhooks
from tests.carriers.webhooks import GENERIC, KEY, NOW, as_json, signed

PARCEL = "01950000-0000-7000-8000-000000000001"
SCAN: Mapping[str, Any] = {
    "carrier": "DHL",
    "tracking_number": "0034",
    "status": "in_transit",
    "code": "DEP-42",
    "scanned_at": "2026-03-01T10:30:00+01:00",
}


def body(*scans: Mapping[str, Any], **more: Any) -> bytes:
    return as_json({"scans": scans or [SCAN]} | more)


def parse(said: bytes) -> tuple[CarrierScan, ...]:
    return GENERIC.parse_webhook(signed(said), said, NOW)


def refusal(headers: Mapping[str, str], said: bytes, now: datetime = NOW) -> DomainError:
    with pytest.raises(DomainError) as caught:
        GENERIC.parse_webhook(headers, said, now)
    return caught.value


def unreadable(said: bytes) -> DomainError:
    error = refusal(signed(said), said)
    assert error.code == "unreadable_webhook"
    return error


def test_a_scan_names_its_parcel_by_carrier_and_number() -> None:
    at = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    [told] = parse(body())
    assert told == CarrierScan(Scan(TrackingStatus.IN_TRANSIT, "DEP-42", at), None, "dhl", "0034")
    assert told.scan.scanned_at.utcoffset() == timedelta(0)


def test_a_scan_names_its_parcel_by_our_own_id_and_tells_all_it_can() -> None:
    said = {
        "shipment_id": PARCEL,
        "status": "delivered",
        "code": "DLV",
        "scanned_at": "2026-03-01T09:30:00Z",
        "place": "Ulm, DE",
        "detail": "at the door",
        "estimated_delivery": "2026-03-02T18:00:00Z",
        "proof": "signature 4711",
    }
    [told] = parse(body(said))
    assert told.shipment_id == ShipmentId(UUID(PARCEL))
    assert (told.carrier, told.tracking_number) == (None, None)
    assert told.scan == Scan(
        TrackingStatus.DELIVERED,
        "DLV",
        datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        place="Ulm, DE",
        detail="at the door",
        estimated_delivery=datetime(2026, 3, 2, 18, tzinfo=UTC),
        proof="signature 4711",
    )


def test_statuses_may_be_in_other_peoples_words() -> None:
    said = {**SCAN, "status": "Exception", "substatus": "Exception_011"}
    [told] = parse(body(said, vocabulary="aftership"))
    assert told.scan.status is TrackingStatus.RETURN_TO_SENDER


def test_the_signature_is_the_one_of_standard_webhooks() -> None:
    """Known answer: its reference libraries sign this text so; it's a body of somebody else's."""
    webhooks = GenericWebhooks(SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    with pytest.raises(DomainError) as caught:
        webhooks.parse_webhook(
            headers, b'{"test": 2432232314}', datetime.fromtimestamp(1614265330, UTC)
        )
    assert caught.value.code == "unreadable_webhook"


def test_one_right_signature_of_several_suffices() -> None:
    headers = signed(body())
    several = f"v1a,AAAA v1,AAAA v1,??? {headers['webhook-signature']}"
    assert GENERIC.parse_webhook({**headers, "webhook-signature": several}, body(), NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(body(), key=b"x" * 32),
        signed(body(status="x")),
        {**signed(body()), "webhook-id": "msg_2"},
        {**signed(body()), "webhook-timestamp": "1"},
        {**signed(body()), "webhook-signature": ""},
        {**signed(body()), "webhook-signature": "v1,"},
        {**signed(body()), "webhook-signature": signed(body())["webhook-signature"][3:]},
        {**signed(body()), "webhook-signature": f"v2{signed(body())['webhook-signature'][2:]}"},
        {**signed(body()), "webhook-signature": "v1,\u00e9"},
    ],
)
def test_a_webhook_that_is_not_signed_with_our_secret_is_refused(
    headers: Mapping[str, str],
) -> None:
    assert refusal(headers, body()).code == "bad_signature"


def test_a_body_that_was_changed_is_refused() -> None:
    assert refusal(signed(body()), body() + b" ").code == "bad_signature"


@pytest.mark.parametrize("off_s", [-300, 300])
def test_a_timestamp_may_be_five_minutes_off(off_s: int) -> None:
    assert GENERIC.parse_webhook(signed(body()), body(), NOW + timedelta(seconds=off_s))


@pytest.mark.parametrize("off_s", [-301, 301])
def test_a_timestamp_that_is_further_off_is_refused(off_s: int) -> None:
    error = refusal(signed(body()), body(), NOW + timedelta(seconds=off_s))
    assert error.code == "stale_webhook"


@pytest.mark.parametrize("at", ["", "soon", "-1", "1e9", "9" * 13, "9" * 5_000])
def test_a_timestamp_that_is_none_is_refused(at: str) -> None:
    assert refusal(signed(body(), at=at), body()).code == "stale_webhook"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (b"", ""),
        (b"\xff", ""),
        (b"[]", ""),
        (b"{}", "/scans"),
        (as_json({"scans": []}), "/scans"),
        (body(*[SCAN] * 501), "/scans"),
        (body(more=1), "/more"),
        (body(vocabulary="klingon"), "/vocabulary"),
        (body({**SCAN, "status": "somewhere"}), ""),
        (body({**SCAN, "tracking_number": None}), "/scans/0"),
        (body({**SCAN, "shipment_id": "x"}), "/scans/0/shipment_id"),
        (body(SCAN, {**SCAN, "code": ""}), "/scans/1/code"),
        (body({**SCAN, "code": "c" * 101}), "/scans/0/code"),
        (body({**SCAN, "detail": "d" * 501}), "/scans/0/detail"),
        (body({**SCAN, "scanned_at": 1_700_000_000}), "/scans/0/scanned_at"),
        (body({**SCAN, "scanned_at": "yesterday"}), "/scans/0/scanned_at"),
        (body({**SCAN, "scanned_at": "0001-01-01T00:00:00+14:00"}), "/scans/0/scanned_at"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_with_a_pointer(said: bytes, field: str) -> None:
    assert unreadable(said).field == field


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    for said in (body({**SCAN, "status": "hunter2"}), body({**SCAN, "scanned_at": "hunter2"})):
        assert "hunter2" not in unreadable(said).detail


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_???", KEY.hex()])
def test_a_weak_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        GenericWebhooks(SecretStr(secret))
