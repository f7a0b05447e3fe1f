"""What carriers tell by webhook: each scan once, no scan lost, and nothing that isn't theirs."""

import base64
import hmac
import time
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from commands.ports import StreamUnreadableError
from domain.ids import CustomerId, OrderId
from tests.api.api import CARRIER_SECRET, Api, assert_problem
from tests.api.test_life import SCAN, WHY, dispatch, order, pack, paid_order, seen

__all__ = ["order"]

DELIVERED = {**SCAN, "code": "DEL"}


def tells(
    api: Api,
    *scans: dict[str, Any],
    at_s: float | None = None,
    becomes: dict[str, Any] | None = None,
) -> Any:
    """Send a webhook as Standard Webhooks has it; `becomes`: what a forger makes of it."""
    body = orjson.dumps({"scans": scans})
    key = base64.b64decode(CARRIER_SECRET.removeprefix("whsec_"))
    at = str(int(time.time() if at_s is None else at_s))
    signature = hmac.digest(key, b".".join([b"msg-1", at.encode(), body]), "sha256")
    headers = {
        "webhook-id": "msg-1",
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
    path = "/v1/webhooks/carriers/generic"
    sent = body if becomes is None else orjson.dumps({"scans": [becomes]})
    return api.call("POST", path, role=None, headers=headers, content=sent)


def hand_over(api: Api, parcel: str, number: str) -> None:
    body = {"carrier": "DHL", "tracking_number": number}
    assert api.post(f"/v1/shipments/{parcel}/dispatches", body).status_code == 201


def test_a_scan_finds_its_parcel_by_number_and_counts_once(api: Api, order: OrderId) -> None:
    hand_over(api, pack(api, order, A=3, B=1), "N1")
    scan = {**DELIVERED, "carrier": "dhl", "tracking_number": "N1"}
    late = {**scan, "status": "in_transit", "code": "IT", "scanned_at": "2026-10-31T10:00:00Z"}
    for _ in range(2):
        assert tells(api, scan).status_code == 204
    assert tells(api, late).status_code == 204
    [shipment] = seen(api, order)["shipments"]
    assert (shipment["status"], len(shipment["scans"])) == ("delivered", 2)


def test_what_is_old_or_of_nobody_stores_nothing_and_sinks_nothing(
    api: Api, order: OrderId
) -> None:
    parcel = pack(api, order, A=1)
    dispatch(api, parcel)
    scan = {**DELIVERED, "shipment_id": parcel}
    stranger = {**DELIVERED, "carrier": "dhl", "tracking_number": "N9"}
    before = len(api.store.log)
    assert_problem(tells(api, scan, at_s=0), 401, "stale_webhook")
    assert_problem(tells(api, stranger), 404, "unknown_parcel")
    assert len(api.store.log) == before
    assert tells(api, stranger, scan).status_code == 204
    assert len(api.store.log) == before + 1


def test_a_scan_of_a_parcel_that_has_not_left_is_refused_and_sinks_no_other(
    api: Api, order: OrderId
) -> None:
    left, packed = pack(api, order, A=1), pack(api, order, A=1)
    dispatch(api, left)
    too_early = {**DELIVERED, "shipment_id": packed}
    assert_problem(tells(api, too_early), 409, "illegal_transition")
    assert tells(api, too_early, {**DELIVERED, "shipment_id": left}).status_code == 204
    assert [one["status"] for one in seen(api, order)["shipments"]] == ["delivered", "created"]


def test_a_scan_that_could_not_be_stored_for_now_is_told_again(api: Api, order: OrderId) -> None:
    parcels = pack(api, order, A=1), pack(api, order, A=1)
    for parcel in parcels:
        dispatch(api, parcel)
    told = [{**DELIVERED, "shipment_id": parcel} for parcel in parcels]
    api.store.conflicts = 5
    assert_problem(tells(api, *told), 409, "too_much_contention")
    assert tells(api, *told).status_code == 204
    assert [one["status"] for one in seen(api, order)["shipments"]] == ["delivered"] * 2


def test_the_scans_of_one_order_are_stored_together_each_at_its_own_time(
    api: Api, order: OrderId
) -> None:
    first, second = pack(api, order, A=1), pack(api, order, A=1)
    dispatch(api, first)
    dispatch(api, second)
    told = [
        {
            "shipment_id": parcel,
            "status": "in_transit",
            "code": f"IT-{hour}",
            "scanned_at": f"2026-11-01T{hour:02}:00:00Z",
        }
        for hour in range(10)
        for parcel in (first, second)
    ]
    before = len(api.store.log)
    api.store.conflicts = 4  # one append that is tried again, not one for each scan
    assert tells(api, *told, *told).status_code == 204
    stored = api.store.log[before:]
    assert len(stored) == 20
    assert len({one.envelope.command_id for one in stored}) == 1
    assert [one.envelope.occurred_at.hour for one in stored] == [n // 2 for n in range(20)]


@pytest.mark.parametrize("member", ["tracking_number", "carrier", "code", "place"])
def test_control_characters_are_unreadable_and_no_fault_of_ours(
    api: Api, order: OrderId, member: str
) -> None:
    hand_over(api, pack(api, order, A=1), "N1")
    scan = {**DELIVERED, "carrier": "dhl", "tracking_number": "N1", member: "a\u0000b"}
    problem = assert_problem(tells(api, scan), 400, "unreadable_webhook")
    assert problem["errors"][0]["pointer"] == f"/scans/0/{member}"


def test_of_parcels_with_one_number_the_one_that_was_dispatched_last_is_meant(
    api: Api, order: OrderId
) -> None:
    older, newer = pack(api, order, A=1), pack(api, order, A=1)
    hand_over(api, newer, "N1")
    hand_over(api, older, "N1")
    scan = {**DELIVERED, "carrier": "dhl", "tracking_number": "N1"}
    assert tells(api, scan).status_code == 204
    statuses = {one["shipment_id"]: one["status"] for one in seen(api, order)["shipments"]}
    assert statuses == {older: "delivered", newer: "dispatched"}


def test_an_old_webhook_says_nothing_of_a_parcel_that_has_its_number_since(
    api: Api, order: OrderId
) -> None:
    told = {**DELIVERED, "carrier": "dhl", "tracking_number": "N1"}
    hand_over(api, pack(api, order, A=1), "N1")
    assert tells(api, told).status_code == 204
    hand_over(api, pack(api, order, A=1), "N1")
    assert tells(api, told).status_code == 204
    assert [one["status"] for one in seen(api, order)["shipments"]] == ["delivered", "dispatched"]


def test_what_was_refused_is_logged_without_what_was_sent(api: Api, order: OrderId) -> None:
    hand_over(api, pack(api, order, A=1), "N1")
    stranger = {**DELIVERED, "carrier": "dhl", "tracking_number": "N9"}
    with capture_logs() as lines:
        tells(api, *[{**stranger, "code": f"c{n}"} for n in range(50)])
        tells(api, stranger, at_s=0)
        api.call("POST", "/v1/webhooks/carriers/nobody", role=None, content=b"{}")
    told = [line for line in lines if line["event"].startswith("carrier")]
    assert [(line["event"], line["code"]) for line in told] == [
        ("carrier_scans_refused", "unknown_parcel"),
        ("carrier_webhook_refused", "stale_webhook"),
        ("carrier_webhook_refused", "unknown_carrier"),
    ]
    assert told[0]["scans"] == 50
    assert "N9" not in str(told)


def test_a_tampered_webhook_stores_nothing(api: Api, order: OrderId) -> None:
    parcel = pack(api, order, A=1)
    dispatch(api, parcel)
    before = len(api.store.log)
    scan = {**DELIVERED, "shipment_id": parcel}
    tampered = tells(api, scan, becomes={**scan, "status": "exception"})
    assert_problem(tampered, 401, "bad_signature")
    assert len(api.store.log) == before


def test_a_scan_after_delivery_is_only_noted(api: Api, order: OrderId) -> None:
    parcel = pack(api, order, A=1)
    dispatch(api, parcel)
    assert tells(api, {**DELIVERED, "shipment_id": parcel}).status_code == 204
    after = {"status": "return_to_sender", "code": "RTS", "scanned_at": "2026-11-02T10:00:00Z"}
    assert tells(api, {**after, "shipment_id": parcel}).status_code == 204
    [shipment] = seen(api, order)["shipments"]
    assert (shipment["status"], len(shipment["scans"])) == ("delivered", 2)


def test_a_parcel_of_a_held_order_may_still_be_scanned(api: Api, order: OrderId) -> None:
    parcel = pack(api, order, A=1)
    dispatch(api, parcel)
    api.post(f"/v1/orders/{order}/holds", WHY)
    assert tells(api, {**DELIVERED, "shipment_id": parcel}).status_code == 204


def test_scans_from_long_ago_do_no_harm(api: Api, order: OrderId) -> None:
    parcel = pack(api, order, A=1)
    dispatch(api, parcel)
    old = {"status": "in_transit", "code": "IT", "scanned_at": "0001-01-01T00:00:00Z"}
    assert tells(api, {**old, "shipment_id": parcel}).status_code == 204
    assert len(seen(api, order)["shipments"][0]["scans"]) == 1


def test_a_scan_on_the_last_day_of_all_is_refused_and_sinks_no_other(
    api: Api, order: OrderId
) -> None:
    parcel = pack(api, order, A=1)
    hand_over(api, parcel, "N1")
    for meant in ({"carrier": "dhl", "tracking_number": "N1"}, {"shipment_id": parcel}):
        never = {**DELIVERED, **meant, "code": "X", "scanned_at": "9999-12-31T12:00:00Z"}
        assert_problem(tells(api, never), 422, "scanned_in_future")
        assert tells(api, never, {**DELIVERED, **meant}).status_code == 204
    [shipment] = seen(api, order)["shipments"]
    assert (shipment["status"], len(shipment["scans"])) == ("delivered", 1)


def test_the_scan_of_an_order_that_can_not_be_read_sinks_no_other_and_is_told_again(
    api: Api, order: OrderId, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcels = {one: pack(api, one, A=1) for one in (order, paid_order(api))}
    for parcel in parcels.values():
        dispatch(api, parcel)
    bad, good = parcels
    load_all = api.store.load_all

    async def load(wanted: Any) -> Any:
        if any(str(bad) in stream for stream, _ in wanted):
            raise StreamUnreadableError("order.eaten.v1 at position 2: UnknownEventTypeError")
        return await load_all(wanted)

    monkeypatch.setattr(api.store, "load_all", load)
    scans = [{**DELIVERED, "shipment_id": parcel} for parcel in parcels.values()]
    assert_problem(tells(api, *scans), 503, "order_parked")
    assert seen(api, good)["shipments"][0]["status"] == "delivered"


def test_the_parcel_of_who_was_forgotten_arrives_without_a_word_of_them(
    api: Api, order: OrderId
) -> None:
    """Each scan counts once all the same: no rule reads what may be forgotten."""
    first, second = pack(api, order, A=1), pack(api, order, A=1)
    dispatch(api, first)
    dispatch(api, second)
    told = {**DELIVERED, "place": "Ada's porch", "proof": "signed: Ada Byron"}
    assert tells(api, {**told, "shipment_id": first}).status_code == 204
    api.store.forgotten.add(CustomerId("c-1"))
    before = len(api.store.log)
    attempted = {**told, "status": "attempted_delivery", "code": "DA", "detail": "Ada was out"}
    for _ in range(2):
        for scan in (told, {**told, "place": "elsewhere"}, attempted):
            assert tells(api, {**scan, "shipment_id": second}).status_code == 204
            assert tells(api, {**scan, "shipment_id": first}).status_code == 204
    assert len(api.store.log) == before + 3  # one delivery, and an attempt of each
    assert "Ada" not in repr(api.store.log[before:])
    assert "[forgotten]" in repr(api.store.log[before:])
    shipment = seen(api, order)["shipments"][1]
    assert (shipment["status"], shipment["proof"]) == ("delivered", "[forgotten]")
