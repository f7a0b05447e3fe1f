"""What an operator does: follow a request through the logs, print a history, rebuild the views."""

import base64
import json
import secrets
import subprocess
import time
from pathlib import Path
from uuid import UUID

import httpx
import orjson
import pytest

from domain.ids import OrderId
from infrastructure.local.ports import free_port
from infrastructure.redis import shard_keys
from infrastructure.redis.generations import Generations
from tests.consistency import assert_consistent, partitions_of, redis_of
from tests.live_platform import CLI, WITHIN_S, LivePlatform
from tests.shop import Shop, an_order

ATTEMPTS = 10
"""Other tests' orders may still live on."""
LOGS = {"command-api.log", "relay.log", "projector.log"}


def test_a_requests_correlation_id_is_in_the_log_of_every_process_it_went_through(
    platform: LivePlatform, shop: Shop
) -> None:
    """Of a batch the relay and the projector name the first: so on a quiet platform, each."""
    for _ in range(ATTEMPTS):
        name = f"drill-{secrets.token_hex(8)}"
        placed = shop.place(None, **{"X-Correlation-ID": name})
        shop.read(placed["order_id"], placed["position"])
        history = shop.client.get(f"/v1/orders/{placed['order_id']}/history").json()["items"]
        assert {item["correlation_id"] for item in history} == {name}
        time.sleep(2)  # the relay tells of what it has sent twice a second
        found = _logs_with(platform, name)
        assert {"command-api.log"} <= found <= LOGS
        if found == LOGS:
            return
    raise AssertionError(f"only {found} name it, time after time")


def _logs_with(platform: LivePlatform, text: str) -> set[str]:
    return {name for name, log in platform.logs().items() if text.encode() in log}


def test_every_line_of_our_processes_logs_is_one_json_object_that_names_them(
    platform: LivePlatform, shop: Shop
) -> None:
    shop.place()
    logs = platform.logs()
    for service in ("command-api", "query-api", "relay", "projector", "sealer"):
        lines = [json.loads(line) for line in logs[f"{service}.log"].splitlines()]
        assert lines
        assert {line["service"] for line in lines} == {service}


@pytest.mark.parametrize(
    ("key", "told"),
    [(secrets.token_bytes(32), "master key opens 0 of"), (b"short", "does not hold 32 bytes")],
)
def test_a_wrong_master_key_is_told(
    platform: LivePlatform, shop: Shop, tmp_path: Path, key: bytes, told: str
) -> None:
    placed = shop.place()
    wrong = tmp_path / "master.key"
    wrong.write_bytes(base64.b64encode(key))
    done = subprocess.run(
        [*CLI, "history", placed["order_id"], "--personal"],
        env={**platform.environment, "ORDERTRAIL_MASTER_KEY_FILE": str(wrong)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_history_is_printed_by_number_and_by_id_and_without_personal_data(
    platform: LivePlatform, shop: Shop
) -> None:
    placed = shop.place()
    last = shop.cancel(placed["order_id"])
    printed = platform.run("history", placed["order_number"])
    assert printed.returncode == 0
    assert "order.placed.v2" in printed.stdout
    assert "order.cancelled.v2" in printed.stdout
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


def _broken(platform: LivePlatform, shop: Shop) -> list[str]:
    """Place three orders; make the first one's document wrong and lose the second one's."""
    placed = [shop.place() for _ in range(3)]
    for one in placed:
        shop.read(one["order_id"], one["position"])
    with redis_of(platform.settings) as client:
        partitions = partitions_of(platform.settings)
        live = Generations(client, partitions).live()
        wrong, missing, _ = (
            shard_keys.document_key(OrderId(UUID(one["order_id"])), partitions, live)
            for one in placed
        )
        stored = client.get(wrong)
        assert isinstance(stored, bytes)
        client.set(wrong, stored.replace(b'"pending"', b'"shipped"'))
        client.delete(missing)
    return [one["order_id"] for one in placed]


def test_a_wrong_and_a_missing_document_are_named_and_mended_order_by_order(
    platform: LivePlatform, shop: Shop
) -> None:
    wrong, missing, right = _broken(platform, shop)
    found = platform.run("rebuild", "--verify")
    assert found.returncode == 1
    assert f"{wrong}: differs in $.status" in found.stdout
    assert f"{missing}: the document is missing" in found.stdout
    assert right not in found.stdout
    assert "was different" in platform.run("rebuild", "--order", wrong).stdout
    assert "was missing" in platform.run("rebuild", "--order", missing).stdout
    assert "was right" in platform.run("rebuild", "--order", right).stdout
    assert platform.run("rebuild", "--order", str(UUID(int=1))).returncode == 1
    verified = platform.run("rebuild", "--verify")
    assert verified.returncode == 0, verified.stdout
    assert_consistent(platform.settings)


def test_a_rebuild_mends_every_document_once_its_differences_are_accepted(
    platform: LivePlatform, shop: Shop
) -> None:
    wrong, missing, _ = _broken(platform, shop)
    assert "generation" in platform.run("rebuild", "--dry-run").stdout
    stopped = platform.run("rebuild")
    assert stopped.returncode == 1
    assert f"{wrong}: differs in $.status" in stopped.stderr
    assert f"{missing}: the document is new" in stopped.stderr
    assert "--resume --accept" in stopped.stderr
    accepted = platform.run("rebuild", "--resume", "--accept")
    assert accepted.returncode == 0, accepted.stderr
    assert platform.run("rebuild", "--drop-previous").returncode == 0
    assert_consistent(platform.settings)
    nothing = platform.run("rebuild", "--rollback")
    assert (nothing.returncode, "no previous" in nothing.stderr) == (1, True)


def test_a_rebuild_while_orders_come_in_ends_consistent(platform: LivePlatform, shop: Shop) -> None:
    with redis_of(platform.settings) as client:
        client.flushall()
    placed = [shop.place(an_order(f"c-{n}")) for n in range(20)]
    assert platform.run("rebuild", "--accept").returncode == 0
    shop.cancel(placed[0]["order_id"])
    assert_consistent(platform.settings)


def test_readiness_names_every_part(shop: Shop) -> None:
    assert orjson.loads(shop.client.get("/readyz").content) == {
        "status": "ready",
        "checks": {"postgres": "ok", "redis": "ok", "kafka": "ok"},
    }
    assert b"ordertrail_http_requests" in shop.client.get("/metrics").content


def test_a_service_that_is_run_by_hand_takes_its_settings_from_the_home(
    platform: LivePlatform, shop: Shop
) -> None:
    placed, port = shop.place(), free_port()
    command = [*CLI, "serve", "query-api", "--port", str(port)]
    with subprocess.Popen(command, env=platform.environment, stderr=subprocess.DEVNULL) as service:
        try:
            url = f"http://127.0.0.1:{port}/v1/orders/{placed['order_id']}"
            answer = _patiently(url, platform.token("service", "by-hand"))
        finally:
            service.terminate()
    assert answer.status_code == 200
    assert answer.json()["order_id"] == placed["order_id"]


def _patiently(url: str, token: str) -> httpx.Response:
    give_up_at = time.monotonic() + WITHIN_S
    while True:
        try:
            headers = {"Authorization": f"Bearer {token}"}
            return httpx.get(url, headers=headers, trust_env=False)
        except httpx.TransportError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.1)
