"""What bad input gets: the right 4xx as a problem, nothing stored, never a 500, no echo."""

import copy
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.api import JSON, ORDER, Api, assert_problem

ANY_EXAMPLES = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SECRET = "Eve-4f1c@secret.example"
VALID_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=64
).filter(str.strip)


def changed(path: str, value: Any) -> dict[str, Any]:
    """Give the good order with one member changed; `...` leaves it out."""
    body: Any = copy.deepcopy(dict(ORDER))
    at = body
    *parents, name = path.split("/")
    for parent in parents:
        at = at[int(parent)] if isinstance(at, list) else at[parent]
    if value is ...:
        del at[name]
    elif isinstance(at, list):
        at[int(name)] = value
    else:
        at[name] = value
    return dict(body)


MALFORMED: Mapping[str, bytes] = {
    "empty": b"",
    "blank": b"  \n",
    "cut": orjson.dumps(ORDER)[:-1],
    "trailing": orjson.dumps(ORDER) + b"x",
    "bad UTF-8": b'{"currency":"\xff\xfe"}',
    "overlong UTF-8": b'{"currency":"\xc0\xaf"}',
    "UTF-8 surrogate": b'{"currency":"\xed\xa0\x80"}',
    "UTF-16": json.dumps(dict(ORDER)).encode("utf-16"),
    "byte-order mark": b"\xef\xbb\xbf" + orjson.dumps(ORDER),
    "lone surrogate": json.dumps(changed("customer/name", "\ud800")).encode(),
    "reversed surrogates": json.dumps(changed("customer/name", "\udc00\ud800")).encode(),
    "surrogate in a key": b'{"\\ud800": 1}',
    "NaN": json.dumps(changed("tax_minor", float("nan"))).encode(),
    "Infinity": json.dumps(changed("tax_minor", float("inf"))).encode(),
    "raw control character": b'{"currency":"G\nB"}',
    "raw NUL": b'{"currency":"\x00"}',
    "array bomb": b"[" * 500_000,
    "object bomb": b'{"a":' * 150_000,
    "closed bomb": b"[" * 100_000 + b"]" * 100_000,
    "comment": b"{} // hi",
    "single quotes": b"{'currency': 'GBP'}",
}

INVALID: list[tuple[str, Any, str]] = [
    # what is changed, to what, and the pointer that must be named
    ("currency", ..., "/currency"),
    ("currency", "gbp", "/currency"),
    ("currency", "XXX", "/currency"),
    ("currency", "ZZZ", "/currency"),
    ("currency", "GBP\n", "/currency"),
    ("currency", None, "/currency"),
    ("currency", 826, "/currency"),
    ("customer", ..., "/customer"),
    ("customer", "c-1", "/customer"),
    ("customer", [], "/customer"),
    ("customer/id", "", "/customer/id"),
    ("customer/name", "[forgotten]", "/customer/name"),
    ("customer/name", "[sealed]", "/customer/name"),
    ("customer/id", " \u00a0\u3000", "/customer/id"),
    ("customer/id", "c" * 129, "/customer/id"),
    ("customer/id", 17850, "/customer/id"),
    ("customer/name", "a\x00b", "/customer/name"),
    ("customer/name", "a\tb", "/customer/name"),
    ("customer/name", "a\x7fb", "/customer/name"),
    ("customer/name", "a\x85b", "/customer/name"),
    ("customer/name", "n" * 201, "/customer/name"),
    ("customer/email", "ada", "/customer/email"),
    ("customer/email", "a@b@c", "/customer/email"),
    ("customer/email", "a b@c", "/customer/email"),
    ("customer/email", "a@" + "b" * 253, "/customer/email"),
    ("customer/phone", "01632960000", "/customer/phone"),
    ("customer/phone", "+0123456", "/customer/phone"),
    ("customer/phone", "+44\u0661\u0662", "/customer/phone"),
    ("customer/phone", "+441632960000\n", "/customer/phone"),
    ("lines", ..., "/lines"),
    ("lines", [], "/lines"),
    ("lines", None, "/lines"),
    ("lines", {}, "/lines"),
    ("lines", [ORDER["lines"][0]] * 1001, "/lines"),
    ("lines/0", None, "/lines/0"),
    ("lines/1/sku", "", "/lines/1/sku"),
    ("lines/1/sku", "s" * 65, "/lines/1/sku"),
    ("lines/0/name", "n" * 201, "/lines/0/name"),
    ("lines/0/quantity", 0, "/lines/0/quantity"),
    ("lines/0/quantity", -6, "/lines/0/quantity"),
    ("lines/0/quantity", "6", "/lines/0/quantity"),
    ("lines/0/quantity", 6.0, "/lines/0/quantity"),
    ("lines/0/quantity", 1e300, "/lines/0/quantity"),
    ("lines/0/quantity", True, "/lines/0/quantity"),
    ("lines/0/quantity", None, "/lines/0/quantity"),
    ("lines/0/quantity", [6], "/lines/0/quantity"),
    ("lines/0/quantity", 10**6 + 1, "/lines/0/quantity"),
    ("lines/0/quantity", 10**18, "/lines/0/quantity"),
    ("lines/0/quantity", 2**63, "/lines/0/quantity"),
    ("lines/0/quantity", 2**64, "/lines/0/quantity"),
    ("lines/0/quantity", -(2**63) - 1, "/lines/0/quantity"),
    ("lines/0/unit_price_minor", -1, "/lines/0/unit_price_minor"),
    ("lines/0/unit_price_minor", 2**53, "/lines/0/unit_price_minor"),
    ("lines/0/unit_price_minor", 2.55, "/lines/0/unit_price_minor"),
    ("lines/0/unit_price_minor", "2.55", "/lines/0/unit_price_minor"),
    ("lines/0/total_minor", 1, "/lines/0/total_minor"),
    ("shipping_minor", -1, "/shipping_minor"),
    ("shipping_minor", None, "/shipping_minor"),
    ("tax_minor", 2**53, "/tax_minor"),
    ("discount_minor", 10**9, "/discount_minor"),
    ("discount_minor", -1, "/discount_minor"),
    ("shipping_address/country", ..., "/shipping_address/country"),
    ("shipping_address/country", "XX", "/shipping_address/country"),
    ("shipping_address/country", "United Kingdom", "/shipping_address/country"),
    ("shipping_address/country", "EU", "/shipping_address/country"),
    ("shipping_address/city", "c" * 201, "/shipping_address/city"),
    ("shipping_address/planet", "Earth", "/shipping_address/planet"),
    ("external_reference", "", "/external_reference"),
    ("external_reference", "r" * 129, "/external_reference"),
    ("external_reference", 536365, "/external_reference"),
    ("payment", "cash", "/payment"),
    ("placed_at", "2010-12-01T08:26:00", "/placed_at"),
    ("placed_at", "2010-12-01", "/placed_at"),
    ("placed_at", 1291191960, "/placed_at"),
    ("placed_at", "1969-12-31T23:59:59Z", "/placed_at"),
    ("placed_at", "0001-01-01T00:00:00+14:00", "/placed_at"),
    ("placed_at", "9999-12-31T23:59:59-14:00", "/placed_at"),
    ("placed_at", "2010-13-01T08:26:00Z", "/placed_at"),
    ("placed_at", "2010-12-01T08:26:00+99:99", "/placed_at"),
    ("placed_at", "\u0662010-12-01T08:26:00Z", "/placed_at"),
    ("currencyy", "GBP", "/currencyy"),
]


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_json_is_a_400(api: Api, name: str) -> None:
    assert_problem(api.place(raw=MALFORMED[name]), 400, "malformed_json")
    order_id = api.placed()["order_id"]
    assert_problem(api.cancel(order_id, raw=MALFORMED[name]), 400, "malformed_json")
    assert len(api.store.log) == 1


@pytest.mark.parametrize(("path", "value", "pointer"), INVALID)
def test_what_breaks_a_rule_is_a_422_that_names_the_place(
    api: Api, path: str, value: Any, pointer: str
) -> None:
    body = changed(path, value)
    raw = json.dumps(body).encode()
    problem = api.place(raw=raw).json()
    assert problem["status"] == 422
    assert pointer in [error["pointer"] for error in problem["errors"]]
    assert not api.store.log


def test_a_pointer_is_escaped_and_bounded(api: Api) -> None:
    problem = assert_problem(api.place({**ORDER, "a/b~c": 1}), 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/a~1b~0c"
    many = {f"{n}{'x' * 400}": 1 for n in range(200)}
    response = api.place({**ORDER, **many})
    problem = assert_problem(response, 422, "invalid_request")
    assert len(problem["errors"]) == 50
    assert len(response.content) < 20_000


def test_a_total_that_overflows_is_refused(api: Api) -> None:
    line = {"sku": "A", "name": "A", "quantity": 10**6, "unit_price_minor": 2**53 - 1}
    assert_problem(api.place({**ORDER, "lines": [line]}), 422, "total_too_large")


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1" + "0" * 400, "1e400", "1e18", "-0.0"])
def test_a_number_beyond_all_reason_is_a_4xx(api: Api, number: str) -> None:
    raw = orjson.dumps(changed("tax_minor", "NUMBER")).replace(b'"NUMBER"', number.encode())
    response = api.place(raw=raw)
    assert response.status_code in (400, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert not api.store.log


@pytest.mark.parametrize("both", [True, False])
def test_an_order_is_paid_one_way(api: Api, both: bool) -> None:  # noqa: FBT001
    body = changed("payment", "settled_elsewhere") if both else changed("payment_token", ...)
    assert_problem(api.place(body), 422, "invalid_request")


@pytest.mark.parametrize(
    "number",
    [
        "4242424242424242",
        "4242 4242 4242 4242",
        " 3782-822463-10005 ",
        "6304000000000000000",
        "500000000009",
        "\u0664\u0662" * 8,
    ],
)
@pytest.mark.parametrize("role", ["service", "customer"])
def test_a_card_number_is_no_token_and_is_kept_nowhere(
    api: Api, capfd: pytest.CaptureFixture[str], number: str, role: str
) -> None:
    customer = {"lines": [{"sku": "A", "quantity": 1}], "customer": {}}
    own = {"currency": "GBP", **customer, "payment_token": number}
    body = changed("payment_token", number) if role == "service" else own
    problem = assert_problem(api.place(body, role=role), 422, "invalid_request")
    assert [error["pointer"] for error in problem["errors"]] == ["/payment_token"]
    assert not api.store.log
    told = orjson.dumps(problem).decode() + "".join(capfd.readouterr())
    assert "token" in told
    assert number.strip() not in told


@pytest.mark.parametrize("token", ["4242424242424241", "tok_4242424242424242", "0" * 11, "0" * 20])
def test_what_only_resembles_a_card_number_is_a_token(api: Api, token: str) -> None:
    assert api.place(changed("payment_token", token)).status_code == 201


@pytest.mark.parametrize("body", [None, [], 1, "text", True, [ORDER]])
def test_a_body_is_an_object(api: Api, body: Any) -> None:
    assert_problem(api.place(body), 422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": None},
        {"reason": "r" * 501},
        {"reason": "a\nb"},
        {"reason": "r", "lines": []},
        {"reason": "r", "lines": [{"sku": "85123A"}]},
        {"reason": "r", "lines": [{"sku": "85123A", "quantity": 0}]},
        {"reason": "r", "lines": [{"sku": "85123A", "quantity": 7}]},
        {"reason": "r", "lines": [{"sku": "85123A", "quantity": 10**18}]},
        {"reason": "r", "lines": [{"sku": "85123A", "quantity": "1"}]},
        {"reason": "r", "lines": [{"sku": "none", "quantity": 1}]},
        {"reason": "r", "lines": [{"sku": "85123A", "quantity": 1, "line_number": 2}]},
        {"reason": "r", "lines": [{"sku": "85123A", "quantity": 1, "line_number": -1}]},
        {"reason": "r", "refund": True},
    ],
)
def test_a_cancellation_that_makes_no_sense_is_a_422(api: Api, body: Any) -> None:
    response = api.cancel(api.placed()["order_id"], body)
    assert response.status_code == 422, response.text
    assert response.json()["errors"]
    assert len(api.store.log) == 1


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "json",
        "application/json; charset=latin-1",
        "application/merge-patch+json",
    ],
)
def test_a_body_of_another_kind_is_a_415(api: Api, kind: str | None) -> None:
    headers = {"Idempotency-Key": "k"} | ({} if kind is None else {"Content-Type": kind})
    response = api.call("POST", "/v1/orders", headers=headers, content=orjson.dumps(ORDER))
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind",
    ['application/json; charset="UTF-8"', "Application/JSON"],
)
def test_json_by_another_name_is_json(api: Api, kind: str) -> None:
    assert api.place(headers={"Content-Type": kind}).status_code == 201


@pytest.mark.parametrize(("encoding", "status"), [("gzip", 415), ("br", 415), ("identity", 201)])
def test_a_compressed_body_is_a_415(api: Api, encoding: str, status: int) -> None:
    assert api.place(headers={"Content-Encoding": encoding}).status_code == status


@pytest.mark.parametrize("number", ["9" * 400, "9" * 5_000, "-1e400", "1e999"])
def test_a_number_beyond_every_range_is_json_and_wrong(api: Api, number: str) -> None:
    raw = orjson.dumps(ORDER).replace(
        b'"unit_price_minor":255', f'"unit_price_minor":{number}'.encode()
    )
    assert number.encode() in raw
    assert_problem(api.place(raw=raw), 422, "invalid_request")
    assert not api.store.log


def test_a_body_over_the_limit_is_refused_unread(api: Api) -> None:
    assert_problem(api.place(raw=b" " * (2**20 + 1)), 413, "body_too_large")
    assert api.place(raw=orjson.dumps(ORDER).ljust(2**20)).status_code == 201


def test_a_body_of_no_declared_length_is_refused_as_it_comes_in(api: Api) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10 * 2**20:
            sent += 2**16
            yield b" " * 2**16

    headers = {**JSON, "Idempotency-Key": "k"}
    response = api.call("POST", "/v1/orders", headers=headers, content=endless())
    assert_problem(response, 413, "body_too_large")
    assert sent <= 2**20 + 2**17


@pytest.mark.parametrize("length", ["9" * 30, "1048577", "9" * 5000])
def test_a_declared_length_over_the_limit_is_enough(api: Api, length: str) -> None:
    headers = {**JSON, "Idempotency-Key": "k", "Content-Length": length}
    response = api.call("POST", "/v1/orders", headers=headers, content=b"{}")
    assert_problem(response, 413, "body_too_large")


def test_strangers_bodies_are_not_read(api: Api) -> None:
    response = api.place(raw=b"[" * 1000, role=None)
    assert_problem(response, 401, "token_missing")


def test_nothing_that_was_sent_comes_back_in_an_error(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ("customer/phone", "currency", "payment", "placed_at", "lines/0/quantity"):
        response = api.place(changed(path, SECRET))
        assert response.status_code == 422
        assert SECRET not in response.text
    response = api.get(f"/v1/orders?status={SECRET}&limit={SECRET}&cursor={SECRET}")
    assert SECRET not in response.text
    assert SECRET not in "".join(capsys.readouterr())


@ANY_EXAMPLES
@given(texts=st.tuples(*[VALID_TEXT] * 5))
def test_all_valid_unicode_comes_back_identical(api: Api, texts: tuple[str, ...]) -> None:
    name, city, reference, sku, reason = texts
    body = changed("customer/name", name)
    body["shipping_address"]["city"] = city
    body["external_reference"] = reference + str(len(api.store.log))
    body["lines"][0]["sku"] = sku
    body["customer"]["id"] = name
    answer = api.place(body).json()
    order_id = answer["order_id"]
    assert api.cancel(order_id, {"reason": reason}).status_code == 201
    shown = api.get(f"/v1/orders/{order_id}").json()
    assert shown["customer"]["name"] == name
    assert shown["customer"]["id"] == name
    assert shown["shipping_address"]["city"] == city
    assert shown["external_reference"] == body["external_reference"]
    assert shown["lines"][0]["sku"] == sku
    history = api.get(f"/v1/orders/{order_id}/history").json()
    assert history["items"][1]["data"]["reason"] == reason


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20)
    | st.sampled_from([10**18, 2**63, 2**64, -(10**400), "", " ", "\0", "\ud800", "GBP", "2010"]),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from([*ORDER, "id", "sku", "quantity", "\ud800"]) | st.text(max_size=5),
            children,
            max_size=5,
        )
    ),
    max_leaves=20,
)
PLACES = st.sampled_from([path for path, value, _ in INVALID if value is not ...])


@ANY_EXAMPLES
@given(path=PLACES, value=JSON_VALUES)
def test_any_json_in_any_place_is_placed_or_refused_and_never_a_500(
    api: Api, path: str, value: Any
) -> None:
    before = len(api.store.log)
    body = changed(path, value)
    if path != "external_reference":
        body["external_reference"] = None
    response = api.place(raw=json.dumps(body).encode())
    _assert_deliberate(api, response, before)


@ANY_EXAMPLES
@given(raw=st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_as_a_body_are_refused_and_never_a_500(api: Api, raw: bytes) -> None:
    before = len(api.store.log)
    _assert_deliberate(api, api.place(raw=raw), before)


@ANY_EXAMPLES
@given(value=JSON_VALUES)
def test_any_json_as_a_cancellation_is_never_a_500(api: Api, value: Any) -> None:
    order_id = api.placed()["order_id"]
    for body in (value, {"reason": value}, {"reason": "r", "lines": value}):
        before = len(api.store.log)
        response = api.cancel(order_id, raw=json.dumps(body).encode())
        _assert_deliberate(api, response, before)


@ANY_EXAMPLES
@given(
    path=st.text(max_size=30), query=st.text(max_size=30), name=st.sampled_from(["cursor", "limit"])
)
def test_any_address_is_never_a_500(api: Api, path: str, query: str, name: str) -> None:
    quoted = [text.encode("utf-8", "surrogatepass").hex(" ") for text in (path, query)]
    path, query = ("".join(f"%{byte}" for byte in text.split()) for text in quoted)
    for address in (f"/{path}", f"/v1/orders/{path}", f"/v1/orders?{name}={query}&{query}"):
        for method in ("GET", "POST", "DELETE"):
            response = api.call(method, address)
            assert response.status_code < 500, (method, address, response.text)


@ANY_EXAMPLES
@given(
    name=st.sampled_from(
        "Authorization Idempotency-Key If-Match Content-Type Content-Length X-Correlation-ID "
        "traceparent If-None-Match Prefer".split()
    ),
    value=st.binary(max_size=40).filter(lambda sent: not set(sent) & set(b"\r\n\0")),
)
def test_any_header_is_never_a_500(api: Api, name: str, value: bytes) -> None:
    sent: Any = {name: value}
    api.place(headers=sent)
    order_id = "00000000-0000-4000-8000-000000000000"
    for response in (
        api.place(headers=sent),
        api.cancel(order_id, headers=sent),
        api.get(f"/v1/orders/{order_id}", headers=sent),
    ):
        assert response.status_code < 500, response.text


def _assert_deliberate(api: Api, response: Any, before: int) -> None:
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert len(api.store.log) == before
