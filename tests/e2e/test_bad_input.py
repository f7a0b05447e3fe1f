"""The worst of bad input through the real edge: the right 4xx, nothing stored, never a 500."""

import json
import secrets
import socket
import time
from collections.abc import Mapping
from typing import Any

import httpx
import jwt
import pytest

from tests.consistency import count
from tests.live_platform import LivePlatform
from tests.shop import Shop, an_order

JSON = {"Content-Type": "application/json"}
LINE = {"sku": "1", "name": "n", "quantity": 1, "unit_price_minor": 1}


def _json(**changes: Any) -> bytes:
    return json.dumps(an_order(**changes)).encode()


def _with_name(escaped: str) -> bytes:
    return _json().replace(b'"Ada Byron"', f'"{escaped}"'.encode())


# what is sent, and what it gets
BODIES: Mapping[str, tuple[bytes, int]] = {
    "cut JSON": (_json()[:-1], 400),
    "nothing": (b"", 400),
    "bad UTF-8": (_json().replace(b"London", b"Lon\xffdon"), 400),
    "a lone surrogate": (_with_name("\\ud800"), 400),
    "a NUL": (_with_name("a\\u0000b"), 422),
    "a control character": (_with_name("a\\u0007b"), 422),
    "100,000 open brackets": (b"[" * 100_000, 400),
    "an unknown field": (_json(surprise=1), 422),
    "a string for a number": (_json(lines=[{**LINE, "quantity": "1"}]), 422),
    "true for a number": (_json(lines=[{**LINE, "quantity": True}]), 422),
    "no pieces": (_json(lines=[{**LINE, "quantity": 0}]), 422),
    "fewer than no pieces": (_json(lines=[{**LINE, "quantity": -1}]), 422),
    "10^18 pieces": (_json(lines=[{**LINE, "quantity": 10**18}]), 422),
    "10^400 pieces": (_json(lines=[{**LINE, "quantity": 10**400}]), 422),
    "a total that overflows": (
        _json(lines=[{**LINE, "quantity": 10**6, "unit_price_minor": 10**12}] * 1_000),
        422,
    ),
    "a price below nothing": (_json(lines=[{**LINE, "unit_price_minor": -1}]), 422),
    "a discount above the total": (_json(discount_minor=10**6), 422),
    "an unknown currency": (_json(currency="ZZZ"), 422),
    "an unknown country": (_json(shipping_address={"country": "ZZ"}), 422),
    "no lines": (_json(lines=[]), 422),
    "1,001 lines": (_json(lines=[LINE] * 1_001), 422),
    "over 1 MiB": (_json(lines=[{**LINE, "name": "n" * 200}] * 5_000), 413),
    "over what the edge takes": (b'{"a": "' + b"a" * 3_000_000 + b'"}', 413),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_bad_body_is_refused_as_a_problem_and_nothing_is_stored(
    platform: LivePlatform, shop: Shop, what: str
) -> None:
    body, status = BODIES[what]
    stored = count(platform.settings).events
    key = {"Idempotency-Key": secrets.token_hex(8)}
    _assert_problem(shop.client.post("/v1/orders", content=body, headers={**JSON, **key}), status)
    assert count(platform.settings).events == stored


def _unsigned(platform: LivePlatform) -> str:
    """Say `alg: none`, and everything else as a good token does."""
    good = jwt.decode(platform.token("service", "my-shop"), options={"verify_signature": False})
    return jwt.encode(good, "", algorithm="none")


def _expired(platform: LivePlatform) -> str:
    key = json.loads((platform.home.keys / "signing.jwk").read_text())
    good = jwt.decode(platform.token("service", "my-shop"), options={"verify_signature": False})
    then = int(time.time()) - 7200
    return jwt.encode(
        {**good, "iat": then, "exp": then + 3600},
        jwt.PyJWK(key).key,
        algorithm="EdDSA",
        headers={"kid": key["kid"]},
    )


def _signed_with_the_public_key(platform: LivePlatform) -> str:
    """Take the public key for a shared secret: the classic confusion."""
    keys = json.loads((platform.home.keys / "jwks.json").read_text())["keys"]
    good = jwt.decode(platform.token("service", "my-shop"), options={"verify_signature": False})
    return jwt.encode(good, keys[0]["x"], algorithm="HS256", headers={"kid": keys[0]["kid"]})


def _tampered(platform: LivePlatform) -> str:
    head, claims, signature = platform.token("customer", "c-1").split(".")
    other = platform.token("service", "my-shop").split(".")[1]
    assert claims != other
    return f"{head}.{other}.{signature}"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    "make", [_unsigned, _expired, _signed_with_the_public_key, _tampered, lambda _: "x.y.z"]
)
def test_a_bad_token_is_refused_as_a_problem_and_nothing_is_stored(
    platform: LivePlatform, make: Any
) -> None:
    stored = count(platform.settings).events
    headers = {"Authorization": f"Bearer {make(platform)}", "Idempotency-Key": "k"}
    with httpx.Client(base_url=platform.url, headers=headers, trust_env=False) as client:
        answer = client.post("/v1/orders", json=an_order())
        _assert_problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        _assert_problem(client.get("/v1/orders"), 401)
    assert count(platform.settings).events == stored


def test_an_answer_that_comes_before_the_body_was_read_arrives_whole(
    platform: LivePlatform,
) -> None:
    """Many, because without the edge's buffer only one in thirty was broken off."""
    headers = {"Authorization": "Bearer x.y.z"}
    body = an_order(lines=[{**LINE, "name": "n" * 200}] * 100)
    with httpx.Client(base_url=platform.url, headers=headers, trust_env=False) as client:
        for _ in range(200):
            _assert_problem(client.post("/v1/orders", json=body), 401)


def test_what_is_not_there_and_not_allowed_is_a_problem_too(shop: Shop) -> None:
    placed = shop.place()
    order = f"/v1/orders/{placed['order_id']}"
    _assert_problem(shop.client.get("/v1/nothing"), 404)
    _assert_problem(shop.client.get("/v1/orders/not-an-id"), 404)
    _assert_problem(shop.client.delete(order), 405)
    _assert_problem(shop.client.post("/v1/orders", json=an_order()), 400)  # without a key
    _assert_problem(shop.client.post(f"{order}/cancellations", json={"reason": ""}), 422)
    too_many = {"reason": "r", "lines": [{"sku": "71053", "quantity": 3}]}
    _assert_problem(shop.client.post(f"{order}/cancellations", json=too_many), 422)
    shop.cancel(placed["order_id"])
    _assert_problem(shop.client.post(f"{order}/cancellations", json={"reason": "again"}), 409)
    _assert_problem(shop.client.get(order, params={"min_position": "-1"}), 422)
    _assert_problem(shop.client.get("/v1/orders", params={"limit": "101"}), 422)
    _assert_problem(shop.client.get("/v1/orders", params={"cursor": "AAAA"}), 422)


def test_all_valid_unicode_comes_back_identical(shop: Shop) -> None:
    name = "Ωμέγα 東京 \U0001d49c e\u0301 \u00e9 \u200d👩\u200d👧 \u202eabc\u202c \ufeff \U0010fffd"
    body = an_order()
    body["customer"]["name"] = body["shipping_address"]["city"] = body["lines"][0]["name"] = name
    body["external_reference"] = f"{name} {secrets.token_hex(4)}"
    placed = shop.place(body)
    document = shop.read(placed["order_id"], placed["position"]).json()
    assert document["customer"]["name"] == document["lines"][0]["name"] == name
    assert document["shipping_address"]["city"] == name
    reference = body["external_reference"]
    assert shop.list_ids(placed["position"], external_reference=reference) == [placed["order_id"]]


def test_what_is_not_even_http_leaves_the_edge_standing(platform: LivePlatform, shop: Shop) -> None:
    attempts = (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n{",
    )
    stored = count(platform.settings).events
    for sent in attempts:
        with socket.create_connection(("127.0.0.1", platform.port), timeout=5) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            received = connection.recv(65_536)
        # A body that breaks off while it is passed on is a 503 of the edge's, as Caddy has it.
        assert not received.startswith((b"HTTP/1.1 2", b"HTTP/1.1 500")), received
    assert count(platform.settings).events == stored
    assert shop.client.get("/readyz").status_code == 200


def _assert_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == f"urn:ordertrail:problem:{problem['code']}"
    assert "Traceback" not in answer.text
