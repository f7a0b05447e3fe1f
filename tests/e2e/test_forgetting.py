"""A customer is forgotten on a running platform; and killed in the middle of it, it is finished."""

import json
import random
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infrastructure.rebuild.log import LOCK
from tests.consistency import assert_consistent, redis_of, stored_log
from tests.e2e.test_personal_data import _found
from tests.live_platform import CLI, CLI_WITHIN_S, LivePlatform
from tests.shop import Body, Shop, an_order

KILLS = 6


@pytest.fixture
def secret() -> dict[str, str]:
    """Write personal data that nobody else has."""
    mark = secrets.token_hex(4)
    return {
        "name": f"Eve Quux{mark}",
        "email": f"eve.{mark}@secret.example",
        "phone": f"+4477{int(mark, 16):010}"[:15],
        "street": f"{mark} Hidden Lane",
    }


@pytest.fixture
def eve() -> str:
    return f"c-eve-{secrets.token_hex(4)}"


def order_of(customer: str, secret: Mapping[str, str]) -> Body:
    personal = {name: secret[name] for name in ("name", "email", "phone")}
    return an_order(
        customer,
        customer={"id": customer, **personal},
        shipping_address={"name": secret["name"], "line1": secret["street"], "country": "GB"},
    )


def shown_over_http(
    shop: Shop, orders: Sequence[str], position: int
) -> Iterator[tuple[str, bytes]]:
    """Ask for everything about some orders in every way, also as they were at a position."""
    paths = [
        f"/v1/orders/{order}{query}"
        for order in orders
        for query in ("", "/history", f"?at_position={position}", "?diff_from=0")
    ]
    for path in paths:
        answer = shop.client.get(path)
        assert answer.status_code == 200, answer.text
        yield path, answer.content


def printed(platform: LivePlatform, customer: str, order: str) -> Iterator[tuple[str, bytes]]:
    """Print everything that the command line knows of a customer."""
    for arguments in (
        ("history", order, "--personal"),
        ("audit", "history", order, "--personal", "--json"),
        ("audit", "export", "--format", "csv", "--customer", customer, "--personal"),
        ("audit", "export", "--format", "jsonl", "--order", order, "--personal"),
        ("export-customer", customer),
    ):
        done = platform.run(*arguments)
        assert done.returncode == 0, done.stderr
        yield " ".join(arguments), done.stdout.encode()


def in_redis(platform: LivePlatform) -> Iterator[tuple[str, bytes]]:
    with redis_of(platform.settings) as client:
        for key in client.scan_iter(count=1_000):
            value: Any = client.get(key) if client.type(key) == b"string" else client.dump(key)
            yield key.decode(), bytes(value)


def on_redis_disk(platform: LivePlatform) -> Iterator[tuple[str, bytes]]:
    for file in (platform.home.path / "redis").rglob("*"):
        if file.is_file():
            yield file.name, file.read_bytes()


def test_a_forgotten_customer_is_nowhere_and_can_be_told_so(
    platform: LivePlatform, shop: Shop, eve: str, secret: dict[str, str], tmp_path: Path
) -> None:
    placed = [shop.place(order_of(eve, secret)) for _ in range(3)]
    orders = [one["order_id"] for one in placed]
    last = placed[-1]["position"]
    shop.read(orders[-1], last)
    shop.list_ids(last, customer_id=eve)
    # Every process has the key in its cache now, and everything is found as it is.
    for places in (
        shown_over_http(shop, orders, last),
        printed(platform, eve, orders[0]),
        in_redis(platform),
        on_redis_disk(platform),
    ):
        assert {name for _, name in _found(places, secret)} >= {"name", "email"}
    before = stored_log(platform.settings)

    asked = platform.run("forget", eve)
    assert asked.returncode == 1
    assert "3 orders (3 events)" in asked.stderr
    assert "add --yes" in asked.stderr
    assert stored_log(platform.settings) == before

    done = platform.run("forget", eve, "--yes", "--by", "dpo")
    assert done.returncode == 0, done.stderr
    assert "is now forgotten" in done.stdout
    assert "3 orders say so" in done.stdout

    assert _found(shown_over_http(shop, orders, last), secret) == []
    assert _found(printed(platform, eve, orders[0]), secret) == []
    assert _found(in_redis(platform), secret) == []
    assert _found(on_redis_disk(platform), secret) == []
    listed = shop.client.get("/v1/orders", params={"customer_id": eve}).json()["items"]
    assert [one["customer"]["name"] for one in listed] == ["[forgotten]"] * 3
    items = shop.client.get(f"/v1/orders/{orders[0]}/history").json()["items"]
    assert items[0]["data"]["personal"] == "[forgotten]"
    assert items[-1]["type"] == "order.personal_data_forgotten.v1"
    assert items[-1]["actor"] == {"subject": "dpo", "role": "operator"}
    assert stored_log(platform.settings)[: len(before)] == before

    refused = shop.client.post(
        "/v1/orders",
        json=order_of(eve, secret),
        headers={"Idempotency-Key": secrets.token_hex(8)},
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "customer_forgotten")
    shop.cancel(orders[1])

    again = platform.run("forget", eve, "--yes")
    assert again.returncode == 0, again.stderr
    assert "was forgotten at" in again.stdout
    assert "0 of them since now" in again.stdout
    exported = tmp_path / "eve.json"
    told = platform.run("export-customer", eve, "--output", str(exported))
    assert f"customer {eve} was forgotten at" in told.stderr
    assert len(json.loads(exported.read_text())["orders"]) == 3
    assert_consistent(platform.settings)


def test_killed_at_any_moment_it_is_finished_by_running_it_again(
    platform: LivePlatform, shop: Shop, eve: str, secret: dict[str, str]
) -> None:
    placed = [shop.place(order_of(eve, secret)) for _ in range(200)]
    shop.read(placed[-1]["order_id"], placed[-1]["position"])
    started = time.monotonic()
    assert platform.run("forget", "nobody", "--yes").returncode == 1
    takes_s = time.monotonic() - started
    seed = secrets.randbits(32)
    draw = random.Random(seed)
    killed = 0
    for _ in range(KILLS):
        command = (*CLI, "forget", eve, "--yes")
        process = subprocess.Popen(
            command, env=platform.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(draw.uniform(takes_s * 0.6, takes_s * 1.6))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait(CLI_WITHIN_S)
            killed += 1
    assert killed, f"seed {seed}"
    done = platform.run("forget", eve, "--yes")
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    assert "200 orders say so" in done.stdout
    told = [
        entry.order_id
        for entry in stored_log(platform.settings)
        if entry.type == "order.personal_data_forgotten.v1"
        and str(entry.order_id) in {one["order_id"] for one in placed}
    ]
    assert len(told) == len(set(told)) == 200
    assert _found(in_redis(platform), secret) == []
    assert _found(on_redis_disk(platform), secret) == []
    assert_consistent(platform.settings)


def test_while_a_rebuild_runs_it_is_not_done_and_afterwards_it_is(
    platform: LivePlatform, shop: Shop, eve: str, secret: dict[str, str]
) -> None:
    placed = shop.place(order_of(eve, secret))
    with psycopg.connect(platform.settings["ORDERTRAIL_POSTGRES_URL"], autocommit=True) as one:
        one.execute(LOCK)
        running = platform.run("forget", eve, "--yes")
    assert running.returncode == 1
    assert "a rebuild is running" in running.stderr
    assert "1 orders say so" in running.stdout
    done = platform.run("forget", eve, "--yes")
    assert done.returncode == 0, done.stderr
    assert "0 of them since now" in done.stdout
    shown = shop.read(placed["order_id"], placed["position"]).json()
    assert shown["customer"]["name"] == "[forgotten]"


def test_nobody_of_that_name_is_not_forgotten(platform: LivePlatform) -> None:
    for command in (("forget", "nobody"), ("forget", "nobody", "--yes")):
        done = platform.run(*command)
        assert (done.returncode, done.stderr) == (1, "there is no customer nobody\n")
    done = platform.run("export-customer", "nobody")
    assert (done.returncode, done.stderr) == (1, "there is no customer nobody\n")
