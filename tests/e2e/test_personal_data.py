"""Personal data is nowhere but in Redis and in answers: not in files, messages, rows or logs.

Rule: what is personal is searched for as it is, in Base64 at every offset, and in hexadecimal;
and first the search itself is shown to find what is stored in the open.
"""

import base64
import json
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.consistency import kafka_messages, redis_of, stored_log
from tests.live_platform import LivePlatform
from tests.shop import Body, Shop, an_order


@pytest.fixture(scope="module")
def secret() -> dict[str, str]:
    """Write personal data that nobody else has."""
    mark = secrets.token_hex(4)
    return {
        "name": f"Eve Quux{mark}",
        "email": f"eve.{mark}@secret.example",
        "phone": f"+4477{int(mark, 16):010}"[:15],
        "street": f"{mark} Hidden Lane",
        "token": f"tok_{mark}_visa",
    }


@pytest.fixture(scope="module")
def open_mark() -> str:
    """Make a word that is stored in the open."""
    return f"SKU-{secrets.token_hex(6)}"


@pytest.fixture(scope="module", autouse=True)
def provoked(platform: LivePlatform, shop: Shop, secret: dict[str, str], open_mark: str) -> None:
    """Do everything with the secret data that could make it be written somewhere."""
    body = _order(secret, open_mark)
    placed = [shop.place(body), shop.place({**body, "external_reference": None})]
    for one in placed:
        document = shop.read(one["order_id"], one["position"]).json()
        assert document["customer"]["email"] == secret["email"]
    shop.list_ids(placed[-1]["position"], customer_id=body["customer"]["id"])
    shop.client.get(f"/v1/orders/{placed[0]['order_id']}/history")
    last = shop.cancel(placed[0]["order_id"], {"reason": f"{secret['name']} has moved"})
    shop.read(last["order_id"], last["position"])
    assert platform.run("history", last["order_number"]).returncode == 0
    assert {one.status_code for one in _provoke(shop.client, secret)} <= {400, 401, 404, 409, 422}
    with psycopg.connect(
        platform.settings["ORDERTRAIL_POSTGRES_OWNER_URL"], autocommit=True
    ) as connection:
        connection.execute("CHECKPOINT")


def _order(secret: dict[str, str], sku: str) -> Body:
    address = {"name": secret["name"], "line1": secret["street"], "country": "GB"}
    return an_order(
        f"c-{secrets.token_hex(4)}",
        customer={
            "id": f"c-{secrets.token_hex(4)}",
            **{name: secret[name] for name in ("name", "email", "phone")},
        },
        lines=[{"sku": sku, "name": "A secret gift", "quantity": 1, "unit_price_minor": 100}],
        shipping_address=address,
        payment_token=secret["token"],
    )


def _provoke(client: httpx.Client, secret: dict[str, str]) -> Iterator[httpx.Response]:
    """Send the secret data where it does not belong, so that it is refused."""
    email = secret["email"]
    good = _order(secret, "S")
    key = {"Idempotency-Key": secrets.token_hex(8)}
    changes: tuple[Body, ...] = (
        {"currency": email},
        {email: 1},
        {"customer": {**good["customer"], "email": f"{email} "}},
        {"customer": {**good["customer"], "phone": f"{secret['phone']}x"}},
        {"customer": {**good["customer"], "name": f"{secret['name']}\x00"}},
        {"lines": [{**good["lines"][0], "quantity": email}]},
        {"lines": []},
        {"placed_at": email},
        {"payment": "settled_elsewhere"},
        {"shipping_address": {"line1": secret["street"], "country": secret["name"]}},
    )
    for change in changes:
        yield client.post("/v1/orders", json={**good, **change}, headers=key)
    taken = {"Idempotency-Key": secrets.token_hex(8)}
    client.post("/v1/orders", json=good, headers=taken)
    yield client.post("/v1/orders", json={**good, "tax_minor": 1}, headers=taken)
    yield client.post("/v1/orders", json=good, headers=key)
    cut = json.dumps(good).encode()[:-1]
    yield client.post(
        "/v1/orders", content=cut, headers={**key, "Content-Type": "application/json"}
    )
    for parameters in ({"customer": email}, {"status": email}, {"cursor": email}, {"limit": email}):
        yield client.get("/v1/orders", params=parameters)
    yield client.get(f"/v1/orders/{email}")
    yield client.get(f"/{email}")
    yield client.get("/v1/orders", headers={"Authorization": f"Bearer {email}"})
    yield client.get("/v1/orders", headers={"Authorization": f"Basic {secret['token']}"})


def _forms(text: str) -> Iterable[bytes]:
    """Give every way in which a text could be written somewhere, in part or whole."""
    raw = text.encode()
    yield raw
    yield raw.lower()
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield text.encode("utf-16-le")
    yield raw.replace(b"@", b"%40")
    for skipped in range(3):
        # Inside of a longer text it begins at one of three offsets; the ends depend on what is
        # around it, so they are cut off.
        padded = base64.b64encode(b"\0" * skipped + raw)
        whole = padded[4 if skipped else 0 : len(padded) // 4 * 4 - 4]
        yield whole
        yield whole.replace(b"+", b"-").replace(b"/", b"_")


def _files(home: Path) -> Iterator[Path]:
    """List every file of the platform but Redis's own, which shows documents as they are sent."""
    for file in home.rglob("*"):
        if file.is_file() and file.relative_to(home).parts[0] != "redis":
            yield file


def _found(places: Iterable[tuple[str, bytes]], needles: dict[str, str]) -> list[tuple[str, str]]:
    forms = {name: tuple(_forms(text)) for name, text in needles.items()}
    return [
        (place, name)
        for place, content in places
        for name, texts in forms.items()
        if any(text in content for text in texts)
    ]


def test_no_file_of_postgresql_or_kafka_and_no_log_holds_personal_data(
    platform: LivePlatform, secret: dict[str, str], open_mark: str
) -> None:
    home = platform.home.path
    contents = [
        (str(file.relative_to(home)), file.read_bytes().rstrip(b"\0")) for file in _files(home)
    ]
    found = {place.rsplit("/", 1)[0] for place, _ in _found(contents, {"open": open_mark})}
    assert any(place.startswith("postgres/base") for place in found), found
    assert any(place.startswith("postgres/pg_wal") for place in found), found
    assert any(place.startswith("kafka/log/order-events") for place in found), found
    assert any(place.startswith("logs") for place, _ in contents)
    assert _found(contents, secret) == []


def test_no_stored_event_and_no_message_holds_personal_data(
    platform: LivePlatform, secret: dict[str, str], open_mark: str
) -> None:
    """Beside the files, because what they hold may be compressed."""
    with psycopg.connect(platform.settings["ORDERTRAIL_POSTGRES_URL"]) as connection:
        rows = [
            (table, str(row).encode())
            for table in ("answers", "unique_names", "customer_keys", "relay_positions")
            for row in connection.execute(f"SELECT * FROM {table}")
        ]
    log = [("events", str(one).encode()) for one in stored_log(platform.settings)]
    messages = [
        ("kafka", str(one).encode())
        for partition in kafka_messages(platform.settings).values()
        for one in partition
    ]
    for places in (log, messages):
        assert _found(places, {"open": open_mark}) != []
    assert _found([*rows, *log, *messages], secret) == []


def test_the_payment_token_is_not_even_in_redis(
    platform: LivePlatform, secret: dict[str, str]
) -> None:
    with redis_of(platform.settings) as client:
        keys = list(client.scan_iter("*:document:*", count=1_000))
        stored: list[tuple[str, Any]] = [(str(key), client.get(key) or b"") for key in keys]
    assert _found(stored, {"email": secret["email"]}) != []
    assert _found(stored, {"token": secret["token"]}) == []


def test_no_answer_to_a_refused_request_repeats_what_was_sent(
    shop: Shop, secret: dict[str, str]
) -> None:
    answers = [
        # An unknown field is named by its pointer, and that is the one thing that is repeated.
        (one.url.path, one.content.replace(f'"/{secret["email"]}"'.encode(), b""))
        for one in _provoke(shop.client, secret)
    ]
    assert _found(answers, secret) == []
