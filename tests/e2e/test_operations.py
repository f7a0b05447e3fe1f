"""What an operator does: follow a request through the logs, print a history, rebuild the views."""

import json
import secrets
import time
from uuid import UUID

import orjson

from domain.ids import OrderId
from infrastructure.redis import layout
from tests.consistency import assert_consistent, partitions_of, redis_of
from tests.live_platform import LivePlatform
from tests.shop import Shop, an_order


def test_a_requests_correlation_id_is_in_the_log_of_every_process_it_went_through(
    platform: LivePlatform, shop: Shop
) -> None:
    name = f"drill-{secrets.token_hex(8)}"
    placed = shop.place(None, **{"X-Correlation-ID": name})
    shop.read(placed["order_id"], placed["position"])
    history = shop.client.get(f"/v1/orders/{placed['order_id']}/history").json()["items"]
    assert {item["correlation_id"] for item in history} == {name}
    wanted = {"command-api.log", "relay.log", "projector.log"}
    until = time.monotonic() + 5
    while (
        found := {log for log, text in platform.logs().items() if name.encode() in text}
    ) < wanted:
        assert time.monotonic() < until, found
        time.sleep(0.05)
    assert found == wanted


def _logs_with(platform: LivePlatform, text: str) -> set[str]:
    return {name for name, log in platform.logs().items() if text.encode() in log}


def test_every_line_of_our_processes_logs_is_one_json_object_that_names_them(
    platform: LivePlatform, shop: Shop
) -> None:
    shop.place()
    logs = platform.logs()
    for service in ("command-api", "query-api", "relay", "projector"):
        lines = [json.loads(line) for line in logs[f"{service}.log"].splitlines()]
        assert lines
        assert {line["service"] for line in lines} == {service}


def test_a_history_is_printed_by_number_and_by_id_and_without_personal_data(
    platform: LivePlatform, shop: Shop
) -> None:
    placed = shop.place()
    last = shop.cancel(placed["order_id"])
    printed = platform.run("history", placed["order_number"])
    assert printed.returncode == 0
    assert "order.placed.v1" in printed.stdout
    assert "order.cancelled.v1" in printed.stdout
    assert platform.run("history", placed["order_id"]).stdout == printed.stdout
    assert "ada@example.com" not in printed.stdout
    opened = platform.run("history", placed["order_number"], "--personal").stdout
    assert "ada@example.com" in opened
    assert "tok_visa" not in opened

    lines = platform.run("history", placed["order_number"].lower(), "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["position"] for event in events] == [placed["position"], last["position"]]
    assert [event["version"] for event in events] == [1, 2]

    nobodys = platform.run("history", "0000-0000")
    assert (nobodys.returncode, nobodys.stderr) == (1, "there is no order 0000-0000\n")


def test_a_rebuild_mends_a_wrong_and_a_missing_document(platform: LivePlatform, shop: Shop) -> None:
    placed = [shop.place() for _ in range(3)]
    for one in placed:
        shop.read(one["order_id"], one["position"])
    with redis_of(platform.settings) as client:
        partitions = partitions_of(platform.settings)
        wrong, missing, _ = (
            layout.document_key(OrderId(UUID(one["order_id"])), partitions, 1) for one in placed
        )
        stored = client.get(wrong)
        assert isinstance(stored, bytes)
        client.set(wrong, stored.replace(b'"pending"', b'"shipped"'))
        client.delete(missing)
    rebuilt = platform.run("rebuild")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "1 were missing, 1 were different" in rebuilt.stdout
    assert_consistent(platform.settings)
    again = platform.run("rebuild")
    assert "0 were missing, 0 were different" in again.stdout


def test_a_rebuild_while_orders_come_in_ends_consistent(platform: LivePlatform, shop: Shop) -> None:
    with redis_of(platform.settings) as client:
        client.flushall()
    placed = [shop.place(an_order(f"c-{n}")) for n in range(20)]
    assert platform.run("rebuild").returncode == 0
    shop.cancel(placed[0]["order_id"])
    assert_consistent(platform.settings)


def test_readiness_names_every_part(shop: Shop) -> None:
    assert orjson.loads(shop.client.get("/readyz").content) == {
        "status": "ready",
        "checks": {"postgres": "ok", "redis": "ok", "kafka": "ok"},
    }
    assert b"ordertrail_http_requests" in shop.client.get("/metrics").content
