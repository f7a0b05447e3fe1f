"""What the import does about an API that is away, slow, or somebody else."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from api.importing.sending import ImportStoppedError, Patience, Refused, Sender, idempotency_key
from tests.importing.fake_api import FakeApi, problem
from tests.importing.orders_csv import import_path, row

Write = Callable[..., Path]


@pytest.mark.parametrize(
    "hiccup",
    [
        *[problem(status, "away") for status in (429, 500, 502, 503, 504)],
        problem(409, "too_much_contention"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut off"),
    ],
    ids=repr,
)
async def test_a_passing_fault_is_waited_for(
    write: Write, api: FakeApi, hiccup: httpx.Response | Exception
) -> None:
    def once(_request: httpx.Request) -> httpx.Response | None:
        if api.posts > 2:
            return None
        if isinstance(hiccup, Exception):
            raise hiccup
        return hiccup

    api.before = once
    imported = await import_path(write(row()), api)
    assert (imported.report.orders.done, api.posts) == (1, 3)


async def test_a_lost_answer_is_asked_for_again_and_not_placed_twice(
    write: Write, api: FakeApi
) -> None:
    def lose(_request: httpx.Request) -> None:
        if api.posts == 1:
            raise httpx.ReadError("connection reset")

    api.after = lose
    imported = await import_path(write(row()), api)
    assert imported.report.orders.already == 1
    assert len(api.orders) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (problem(503, "away"), "3 times in a row.*safe to run"),
        (problem(401, "token_expired"), "did not let the import in.*token_expired"),
        (problem(403, "wrong_role"), "did not let the import in"),
        (httpx.Response(404, text="<h1>nginx</h1>"), "not as Ordertrail's API does"),
        (httpx.Response(302, headers={"Location": "/"}), "not as Ordertrail's API does"),
        (httpx.Response(200, json=["hello"]), "names no order"),
    ],
)
async def test_what_lasts_stops_the_import_in_plain_words(
    write: Write, api: FakeApi, answer: httpx.Response, words: str
) -> None:
    api.before = lambda _request: answer
    path = write(row())
    with pytest.raises(ImportStoppedError, match=words):
        await import_path(path, api)


async def test_retry_after_is_honored_within_bounds() -> None:
    waits: list[float] = []

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)

    retry_afters = iter(["3", "86400", "soon", None])

    def handle(_request: httpx.Request) -> httpx.Response:
        value = next(retry_afters)
        if value is None:
            return problem(422, "odd")
        return httpx.Response(503, headers={"Retry-After": value})

    transport = httpx.MockTransport(handle)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        answer = await Sender(client, Patience(), sleep).post("/v1/orders", {}, "key")
    assert answer == Refused("refused_odd")
    assert waits == [3.0, 30.0, 0.8]


def test_keys_are_distinct_and_fit_into_a_header() -> None:
    assert idempotency_key("536365") == "import-536365"
    assert idempotency_key("C536379", "536365") == "import-C536379-536365"
    assert idempotency_key("C1-2", "3") != idempotency_key("C1", "2-3")
    for invoice in ("é 1", "注文" * 50, 'a"b'):
        key = idempotency_key(invoice)
        assert key.isascii()
        assert key.isprintable()
        assert " " not in key
        assert len(key) <= 255
