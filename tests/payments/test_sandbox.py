"""The sandbox: every trouble of a real provider, and a ledger that survives it all."""

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from psycopg.rows import dict_row

from commands.payment.gateway import (
    Authorized,
    Declined,
    GatewayUnknownError,
    Moved,
    RefundChanged,
    Refused,
    WebhookRefusedError,
    capture_key,
    refund_key,
    void_key,
)
from domain.ids import OrderId
from domain.payment.events import DeclineCode
from infrastructure.payments.sandbox import SandboxGateway, open_sandbox
from infrastructure.payments.signature import sign
from tests.payments.providers import GBP, SECRET, Sandbox, authorize, hold, look_up

CHARGER = Path(__file__).with_name("charge_and_hang.py")
WAIT_S = 60.0


def ledger(url: str) -> Sequence[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM sandbox.authorizations").fetchall()


def movements(url: str) -> Sequence[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        query = "SELECT kind, amount_minor FROM sandbox.movements ORDER BY moved_at, kind"
        return connection.execute(query).fetchall()


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_chargeDeclined", DeclineCode.CARD_DECLINED),
        ("tok_chargeDeclinedInsufficientFunds", DeclineCode.INSUFFICIENT_FUNDS),
        ("tok_chargeDeclinedExpiredCard", DeclineCode.EXPIRED_CARD),
        ("tok_chargeDeclinedFraudulent", DeclineCode.FRAUD),
        ("tok_nobody", DeclineCode.UNKNOWN_TOKEN),
    ],
)
async def test_a_token_says_how_it_is_declined(
    sandbox: Sandbox, token: str, code: DeclineCode
) -> None:
    answer = await authorize(sandbox, OrderId(uuid4()), token=token)
    assert isinstance(answer, Declined)
    assert answer.decline_code is code


async def test_the_same_key_charges_once_however_often_and_at_once(
    sandbox: Sandbox, database_url: str
) -> None:
    order_id = OrderId(uuid4())
    answers = await asyncio.gather(*(authorize(sandbox, order_id) for _ in range(8)))
    assert len(set(answers)) == 1
    captures = await asyncio.gather(
        *(
            sandbox.gateway.capture(
                reference=answers[0].reference,
                amount_minor=600,
                currency=GBP,
                key=capture_key(order_id, "p1", 1),
                last=False,
            )
            for _ in range(8)
        )
    )
    assert set(captures) == {Moved(600)}
    [row] = ledger(database_url)
    assert row["captured_minor"] == 600
    assert movements(database_url) == [{"kind": "capture", "amount_minor": 600}]


async def test_a_key_is_for_one_amount(sandbox: Sandbox) -> None:
    order_id, reference = await hold(sandbox)
    with pytest.raises(GatewayUnknownError, match="key_reused"):
        await authorize(sandbox, order_id, amount_minor=999)
    for amount_minor in (600, 601):
        asked = sandbox.gateway.capture(
            reference=reference,
            amount_minor=amount_minor,
            currency=GBP,
            key=capture_key(order_id, "p1", 1),
            last=False,
        )
        if amount_minor == 600:
            await asked
        else:
            with pytest.raises(GatewayUnknownError, match="key_reused"):
                await asked


async def test_parcels_are_captured_one_by_one_and_the_rest_is_released(
    sandbox: Sandbox, database_url: str
) -> None:
    order_id, reference = await hold(sandbox)
    for name, amount_minor in (("p1", 300), ("p2", 200)):
        key = capture_key(order_id, name, 1)
        answer = await sandbox.gateway.capture(
            reference=reference, amount_minor=amount_minor, currency=GBP, key=key, last=False
        )
        assert answer == Moved(amount_minor)
    await sandbox.gateway.void(reference=reference, key=void_key(order_id, 1))
    late = await sandbox.gateway.capture(
        reference=reference,
        amount_minor=1,
        currency=GBP,
        key=capture_key(order_id, "p3", 1),
        last=True,
    )
    assert isinstance(late, Refused)
    assert (await look_up(sandbox, order_id)).captured_minor == 500
    assert [(row["captured_minor"], row["released_minor"]) for row in ledger(database_url)] == [
        (500, 500)
    ]


async def test_more_than_was_captured_is_not_refunded(sandbox: Sandbox) -> None:
    order_id, reference = await hold(sandbox)
    answer = await sandbox.gateway.refund(
        reference=reference, amount_minor=1, currency=GBP, key=refund_key(order_id, "r", 1)
    )
    assert isinstance(answer, Refused)


async def test_a_card_may_be_held_and_yet_not_captured(sandbox: Sandbox) -> None:
    order_id, reference = await hold(sandbox, token="tok_captureFails")
    answer = await sandbox.gateway.capture(
        reference=reference,
        amount_minor=1,
        currency=GBP,
        key=capture_key(order_id, "p1", 1),
        last=True,
    )
    assert answer == Refused("refused", final=False)


async def test_a_time_out_after_charging_is_told_by_looking_up(
    sandbox_gateway: SandboxGateway, database_url: str
) -> None:
    sandbox_gateway._timeout_s = 0.01
    sandbox = Sandbox(sandbox_gateway)
    order_id = OrderId(uuid4())
    with pytest.raises(GatewayUnknownError):
        await authorize(sandbox, order_id, token="tok_timeoutAfterCharging")
    record = await look_up(sandbox, order_id)
    assert isinstance(record.status, Authorized)
    again = await authorize(sandbox, order_id, token="tok_timeoutAfterCharging")
    assert again == record.status
    assert len(ledger(database_url)) == 1


async def test_a_slow_answer_is_an_answer(sandbox_gateway: SandboxGateway) -> None:
    sandbox_gateway._slow_s = 0.01
    assert isinstance(
        await authorize(Sandbox(sandbox_gateway), OrderId(uuid4()), token="tok_slow"), Authorized
    )


async def test_an_answer_of_nonsense_has_charged_nothing(
    sandbox: Sandbox, database_url: str
) -> None:
    order_id = OrderId(uuid4())
    for _ in range(2):
        with pytest.raises(GatewayUnknownError):
            await authorize(sandbox, order_id, token="tok_nonsense")
    assert await look_up(sandbox, order_id) is None
    assert ledger(database_url) == []


async def test_who_is_killed_between_charge_and_answer_has_charged_once(
    database_url: str,
) -> None:
    order_id = OrderId(uuid4())
    command = [sys.executable, str(CHARGER), database_url, SECRET, str(order_id)]
    process = await asyncio.create_subprocess_exec(*command, cwd=CHARGER.parents[2])
    try:
        deadline = time.monotonic() + WAIT_S
        while not ledger(database_url):
            assert process.returncode is None
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    finally:
        process.kill()
        assert await process.wait() == -signal.SIGKILL
    async with open_sandbox(database_url, SECRET) as gateway:
        record = await look_up(Sandbox(gateway), order_id)
        again = await authorize(Sandbox(gateway), order_id)
    assert record.status == again
    assert [UUID(str(row["order_id"])) for row in ledger(database_url)] == [order_id]


async def test_a_ledger_that_does_not_answer_leaves_it_unknown() -> None:
    async with open_sandbox("postgresql://x@127.0.0.1:1/x", SECRET) as gateway:
        gateway._pool.timeout = 0.1
        with pytest.raises(GatewayUnknownError):
            await look_up(Sandbox(gateway), OrderId(uuid4()))


async def test_no_token_is_in_the_ledger(sandbox: Sandbox, database_url: str) -> None:
    await hold(sandbox)
    assert "tok_" not in repr(ledger(database_url))


async def test_a_refund_that_is_sent_back_is_told_by_its_key(
    sandbox_gateway: SandboxGateway,
) -> None:
    order_id, reference = await hold(Sandbox(sandbox_gateway))
    key = refund_key(order_id, "r1", 1)
    headers, body = sandbox_gateway.webhook("refund_failed", reference, refund_key=key)
    event = await sandbox_gateway.parse_webhook(headers, body)
    assert event is not None
    assert event.fact == RefundChanged(key, Refused("sent_back", final=False))


@pytest.mark.parametrize("body", [b"", b"{", b'{"id": 1}', b"\xff"])
async def test_a_signed_message_of_nonsense_is_refused(sandbox: Sandbox, body: bytes) -> None:
    headers = {"Sandbox-Signature": sign(SECRET, body, int(time.time()))}
    with pytest.raises(WebhookRefusedError) as caught:
        await sandbox.gateway.parse_webhook(headers, body)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize(
    "said",
    [
        {"id": "evt\0"},
        {"reference": "sbx\0"},
        {"reference": "sbx\n"},
        {"reference": "r" * 201},
        {"kind": "charged_back", "dispute_id": "d\0", "amount_minor": 1},
        {"kind": "charged_back", "dispute_id": "d", "amount_minor": -5},
        {"kind": "charged_back", "dispute_id": "d", "amount_minor": 0},
        {"kind": "charged_back", "dispute_id": "d", "amount_minor": 10**17},
        {"kind": "charged_back", "amount_minor": 1},
        {"kind": "refund_failed", "refund_key": "r1"},
        {"kind": "refund_failed", "refund_key": refund_key(OrderId(UUID(int=9)), "r1", 1)},
    ],
)
async def test_a_signed_message_that_says_what_can_not_be_is_refused(
    sandbox_gateway: SandboxGateway, said: dict[str, object]
) -> None:
    _, reference = await hold(Sandbox(sandbox_gateway))
    body = msgspec.json.encode({"id": "evt", "kind": "attempt", "reference": reference, **said})
    headers = {"Sandbox-Signature": sign(SECRET, body, int(time.time()))}
    with pytest.raises(WebhookRefusedError) as caught:
        await sandbox_gateway.parse_webhook(headers, body)
    assert caught.value.reason == "malformed"


async def test_a_message_of_a_kind_that_we_do_not_record_is_passed_over(
    sandbox_gateway: SandboxGateway,
) -> None:
    _, reference = await hold(Sandbox(sandbox_gateway))
    headers, body = sandbox_gateway.webhook("payout", reference)
    assert await sandbox_gateway.parse_webhook(headers, body) is None
