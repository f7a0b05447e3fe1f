"""What every payment provider must do, whoever it is."""

import time
from uuid import uuid4

import pytest

from commands.payment.gateway import (
    ActionRequired,
    AttemptChanged,
    Authorized,
    ChargedBack,
    Declined,
    Moved,
    ProviderEvent,
    Refused,
    Released,
    WebhookRefusedError,
    capture_key,
    read_refund_key,
    refund_key,
    void_key,
)
from domain.ids import OrderId
from domain.payment.events import DeclineCode
from tests.payments.providers import GBP, Provider, authorize, hold, look_up


async def test_a_good_card_is_held_and_looked_up_by_its_attempt(provider: Provider) -> None:
    order_id, reference = await hold(provider)
    for known in (None, reference):
        record = await look_up(provider, order_id, known)
        assert record.status == Authorized(reference, 1_000)
        assert (record.captured_minor, record.refunds) == (0, {})


async def test_what_was_never_asked_for_is_not_known(provider: Provider) -> None:
    await hold(provider)
    assert await look_up(provider, OrderId(uuid4())) is None


async def test_a_declined_card_is_an_answer_not_an_error(provider: Provider) -> None:
    order_id = OrderId(uuid4())
    answer = await authorize(provider, order_id, token=provider.tokens.declined)
    assert isinstance(answer, Declined)
    assert answer.decline_code is DeclineCode.CARD_DECLINED
    assert isinstance((await look_up(provider, order_id)).status, Declined)


@pytest.mark.parametrize("token", ["tok_nobody", "pm_nobody"])
async def test_an_unknown_token_is_declined(provider: Provider, token: str) -> None:
    answer = await authorize(provider, OrderId(uuid4()), token=token)
    assert isinstance(answer, Declined)
    assert token not in answer.detail


@pytest.mark.parametrize(("approve", "kind"), [(True, Authorized), (False, Declined)])
async def test_a_customer_must_act_and_then_it_is_decided(
    provider: Provider, *, approve: bool, kind: type
) -> None:
    order_id = OrderId(uuid4())
    answer = await authorize(provider, order_id, token=provider.tokens.action)
    assert isinstance(answer, ActionRequired)
    assert (await look_up(provider, order_id)).status == answer
    await provider.act(answer.reference, approve=approve)
    assert isinstance((await look_up(provider, order_id)).status, kind)


async def test_a_part_is_captured(provider: Provider) -> None:
    order_id, reference = await hold(provider)
    answer = await provider.gateway.capture(
        reference=reference,
        amount_minor=400,
        currency=GBP,
        key=capture_key(order_id, "p1", 1),
        last=True,
    )
    assert answer == Moved(400)
    assert (await look_up(provider, order_id)).status == Authorized(reference, 1_000)


async def test_more_than_is_held_is_not_captured(provider: Provider) -> None:
    order_id, reference = await hold(provider)
    answer = await provider.gateway.capture(
        reference=reference,
        amount_minor=1_001,
        currency=GBP,
        key=capture_key(order_id, "p1", 1),
        last=True,
    )
    assert isinstance(answer, Refused)


async def test_a_void_lets_go_and_may_be_repeated(provider: Provider) -> None:
    order_id, reference = await hold(provider)
    for _ in range(2):
        answer = await provider.gateway.void(reference=reference, key=void_key(order_id, 1))
        assert answer == Released(reference)
    assert (await look_up(provider, order_id)).status == Released(reference)


async def test_what_waits_for_the_customer_can_be_voided(provider: Provider) -> None:
    order_id = OrderId(uuid4())
    answer = await authorize(provider, order_id, token=provider.tokens.action)
    await provider.gateway.void(reference=answer.reference, key=void_key(order_id, 1))
    await provider.act(answer.reference, approve=True)
    assert (await look_up(provider, order_id)).status == Released(answer.reference)


async def test_captured_money_is_given_back_in_parts(provider: Provider) -> None:
    order_id, reference = await hold(provider)
    await provider.gateway.capture(
        reference=reference,
        amount_minor=1_000,
        currency=GBP,
        key=capture_key(order_id, "p1", 1),
        last=True,
    )
    keys = [refund_key(order_id, name, 1) for name in ("return/1", "x")]
    for key, amount_minor in zip(keys, [300, 700], strict=True):
        answer = await provider.gateway.refund(
            reference=reference, amount_minor=amount_minor, currency=GBP, key=key
        )
        assert answer == Moved(amount_minor)
    record = await look_up(provider, order_id)
    assert record.refunds == dict(zip(keys, [300, 700], strict=True))
    assert read_refund_key(keys[0], order_id) == ("return/1", 1)


async def test_a_webhook_tells_of_the_order_and_the_attempt(provider: Provider) -> None:
    order_id, reference = await hold(provider)
    headers, body = await provider.webhook(reference, at_s=int(time.time()))
    first = await provider.gateway.parse_webhook(headers, body)
    assert first == await provider.gateway.parse_webhook(headers, body)
    assert isinstance(first, ProviderEvent)
    assert first.order_id == order_id
    assert first.fact == AttemptChanged(1, Authorized(reference, 1_000), 0)


async def test_a_chargeback_is_told_with_its_dispute(provider: Provider) -> None:
    order_id, reference = await hold(provider)
    headers, body = await provider.dispute(reference, "dp_1", 250)
    event = await provider.gateway.parse_webhook(headers, body)
    assert isinstance(event, ProviderEvent)
    assert (event.order_id, event.fact) == (order_id, ChargedBack("dp_1", 250))


@pytest.mark.parametrize(
    ("age_s", "secret", "reason"),
    [
        (0, "another secret", "bad_signature"),
        (400, None, "old_timestamp"),
    ],
)
async def test_a_webhook_that_is_not_genuine_or_old_is_refused(
    provider: Provider, age_s: int, secret: str | None, reason: str
) -> None:
    _, reference = await hold(provider)
    at_s = int(time.time()) - age_s
    more = {} if secret is None else {"secret": secret}
    headers, body = await provider.webhook(reference, at_s=at_s, **more)
    with pytest.raises(WebhookRefusedError) as caught:
        await provider.gateway.parse_webhook(headers, body)
    assert caught.value.reason == reason


async def test_a_webhook_that_was_changed_is_refused(provider: Provider) -> None:
    _, reference = await hold(provider)
    headers, body = await provider.webhook(reference, at_s=int(time.time()))
    for changed_headers, changed_body in ((headers, body + b" "), ({}, body)):
        with pytest.raises(WebhookRefusedError) as caught:
            await provider.gateway.parse_webhook(changed_headers, changed_body)
        assert caught.value.reason == "bad_signature"


async def test_a_webhook_about_an_unknown_object_is_refused(provider: Provider) -> None:
    headers, body = await provider.webhook("pi_nobody", at_s=int(time.time()))
    with pytest.raises(WebhookRefusedError) as caught:
        await provider.gateway.parse_webhook(headers, body)
    assert caught.value.reason == "unknown_object"
