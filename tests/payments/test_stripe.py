"""Stripe in particular: idempotency keys, lost answers, its own webhooks, currencies, words."""

import asyncio
import time
from uuid import uuid4

import pytest
from aiohttp import web

from commands.payment.gateway import (
    AttemptChanged,
    Authorized,
    Declined,
    GatewayUnknownError,
    Moved,
    ProviderEvent,
    RefundChanged,
    Refused,
    WebhookRefusedError,
    authorization_key,
    capture_key,
    refund_key,
    void_key,
)
from domain.ids import OrderId
from domain.money import Currency
from domain.payment.events import DeclineCode
from infrastructure.local.ports import free_port
from infrastructure.payments.signature import sign
from infrastructure.payments.stripe_gateway import StripeConfig, StripeGateway
from infrastructure.payments.stripe_words import declined_by, from_stripe, to_stripe
from tests.payments.providers import (
    API_KEY,
    GBP,
    SECRET,
    Stripe,
    authorize,
    hold,
    look_up,
    stripe_webhook,
)

WAIT_S = 30.0


async def test_each_request_has_the_key_of_what_it_is_for(stripe: Stripe) -> None:
    order_id, reference = await hold(stripe)
    gateway, key = stripe.gateway, capture_key(order_id, "p1", 1)
    await gateway.capture(reference=reference, amount_minor=400, currency=GBP, key=key, last=True)
    back = refund_key(order_id, "r1", 1)
    await gateway.refund(reference=reference, amount_minor=100, currency=GBP, key=back)
    await gateway.void(reference=reference, key=void_key(order_id, 1))
    sent = (await stripe.http.get("/_config/keys")).json()
    assert sent[-4:] == [authorization_key(order_id, 1), key, back, void_key(order_id, 1)]


@pytest.mark.parametrize("status", [0, 200, 500, 503])
async def test_an_answer_that_is_lost_or_nonsense_leaves_it_unknown_until_it_is_looked_up(
    stripe: Stripe, status: int
) -> None:
    order_id = OrderId(uuid4())
    await stripe.http.post(f"/_config/lose/{status}")
    with pytest.raises(GatewayUnknownError):
        await authorize(stripe, order_id)
    assert isinstance((await look_up(stripe, order_id)).status, Authorized)


async def test_no_answer_in_time_leaves_it_unknown() -> None:
    gone = asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the caller has hung up
        writer.close()
        gone.set()

    port = free_port()
    server = await asyncio.start_server(never, "127.0.0.1", port)
    config = StripeConfig(API_KEY, SECRET, api_base=f"http://127.0.0.1:{port}", timeout_s=0.2)
    gateway = StripeGateway(config)
    with pytest.raises(GatewayUnknownError):
        await gateway.void(reference="pi_1", key="k")
    await gateway.close()
    await asyncio.wait_for(gone.wait(), WAIT_S)
    server.close()


async def test_an_error_tells_no_secret(emulator_url: str) -> None:
    gateway = StripeGateway(StripeConfig("no_key_that_it_knows", SECRET, api_base=emulator_url))
    with pytest.raises(GatewayUnknownError) as caught:
        await gateway.authorize(
            order_id=OrderId(uuid4()), attempt=1, amount_minor=1, currency=GBP, token="pm_secret"
        )
    assert str(caught.value) == "AuthenticationError"
    assert caught.value.__suppress_context__
    await gateway.close()


async def test_without_multicapture_a_second_capture_is_refused_for_good(stripe: Stripe) -> None:
    order_id, reference = await hold(stripe)
    answers = [
        await stripe.gateway.capture(
            reference=reference,
            amount_minor=400,
            currency=GBP,
            key=capture_key(order_id, name, 1),
            last=False,
        )
        for name in ("p1", "p2")
    ]
    assert answers[0] == Moved(400)
    assert isinstance(answers[1], Refused)
    assert answers[1].final


async def test_with_multicapture_each_parcel_takes_its_part_and_the_last_one_the_rest(
    emulator_url: str, stripe: Stripe
) -> None:
    config = StripeConfig(API_KEY, SECRET, api_base=emulator_url, multicapture=True)
    gateway = StripeGateway(config)
    several = Stripe(gateway, stripe.http, stripe.tokens)
    order_id, reference = await hold(several)
    for name, amount_minor, last, taken_minor in (
        ("p1", 400, False, 400),
        ("p2", 600, True, 1_000),
    ):
        answer = await several.gateway.capture(
            reference=reference,
            amount_minor=amount_minor,
            currency=GBP,
            key=capture_key(order_id, name, 1),
            last=last,
        )
        assert answer == Moved(amount_minor)
        record = await look_up(several, order_id, reference)
        assert (record.status, record.captured_minor) == (
            Authorized(reference, 1_000),
            taken_minor,
        )
    beyond = await several.gateway.capture(
        reference=reference,
        amount_minor=1,
        currency=GBP,
        key=capture_key(order_id, "p3", 1),
        last=True,
    )
    assert isinstance(beyond, Refused)
    await gateway.close()


@pytest.mark.parametrize("code", ["KWD", "TND", "MGA", "CLF"])
async def test_a_currency_whose_amounts_can_not_all_be_said_is_refused_before_charging(
    stripe: Stripe, code: str
) -> None:
    order_id = OrderId(uuid4())
    answer = await authorize(stripe, order_id, currency=Currency(code))
    assert isinstance(answer, Declined)
    assert answer.decline_code is DeclineCode.UNSUPPORTED_CURRENCY
    assert await look_up(stripe, order_id) is None


async def test_the_webhook_that_the_provider_sends_itself_is_understood(stripe: Stripe) -> None:
    came: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def receive(request: web.Request) -> web.Response:
        await came.put((dict(request.headers), await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    hook = {"url": f"http://127.0.0.1:{port}/", "secret": SECRET}
    await stripe.http.post("/_config/webhooks/ours", json=hook)
    order_id, reference = await hold(stripe)
    await stripe.gateway.capture(
        reference=reference,
        amount_minor=1_000,
        currency=GBP,
        key=capture_key(order_id, "p1", 1),
        last=True,
    )
    events: list[ProviderEvent] = []
    while not events or events[-1].order_id != order_id:
        headers, body = await asyncio.wait_for(came.get(), WAIT_S)
        event = await stripe.gateway.parse_webhook(headers, body)
        assert event is not None
        events.append(event)
    await runner.cleanup()
    assert events[-1].fact == AttemptChanged(1, Authorized(reference, 1_000), 0)


async def test_a_refund_is_told_by_its_key(stripe: Stripe) -> None:
    key, about = await give_back(stripe)
    event = await stripe.gateway.parse_webhook(*stripe_webhook("refund.updated", about, _now_s()))
    assert event is not None
    assert event.fact == RefundChanged(key, Moved(5))


@pytest.mark.parametrize("status", ["pending", "requires_action"])
async def test_a_refund_that_is_not_decided_yet_is_no_news(stripe: Stripe, status: str) -> None:
    _, about = await give_back(stripe)
    await stripe.http.post(f"/_config/refunds/{about['id']}/{status}")
    for kind in ("refund.created", "refund.updated", "charge.refund.updated"):
        assert await stripe.gateway.parse_webhook(*stripe_webhook(kind, about, _now_s())) is None


@pytest.mark.parametrize("kind", ["refund.failed", "charge.refund.updated"])
async def test_a_refund_that_is_sent_back_is_told_under_both_names(
    stripe: Stripe, kind: str
) -> None:
    key, about = await give_back(stripe)
    await stripe.http.post(f"/_config/refunds/{about['id']}/failed")
    event = await stripe.gateway.parse_webhook(*stripe_webhook(kind, about, _now_s()))
    assert event is not None
    assert event.fact == RefundChanged(key, Refused("failed", final=False))


async def give_back(stripe: Stripe) -> tuple[str, dict[str, str]]:
    """Give back a part of what was taken: the refund's key, and what webhooks say of it."""
    order_id, reference = await hold(stripe)
    key = refund_key(order_id, "r1", 1)
    await stripe.gateway.capture(
        reference=reference,
        amount_minor=1_000,
        currency=GBP,
        key=capture_key(order_id, "p1", 1),
        last=True,
    )
    await stripe.gateway.refund(reference=reference, amount_minor=5, currency=GBP, key=key)
    refunds = (await stripe.http.get("/v1/refunds", params={"payment_intent": reference})).json()
    refund_id = refunds["data"][0]["id"]
    return key, {"id": refund_id, "object": "refund", "payment_intent": reference}


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("payout.paid", {"id": "po_1", "object": "payout"}),
        ("balance.available", {"object": "balance"}),
        ("charge.dispute.funds_reinstated", {"id": "dp_1", "object": "dispute"}),
    ],
)
async def test_a_message_of_a_kind_that_we_do_not_record_is_passed_over(
    stripe: Stripe, kind: str, about: dict[str, str]
) -> None:
    headers, body = stripe_webhook(kind, about, _now_s())
    assert await stripe.gateway.parse_webhook(headers, body) is None


@pytest.mark.parametrize("kind", ["refund.updated", "payment_intent.canceled"])
async def test_what_we_record_of_an_object_without_id_is_nonsense(
    stripe: Stripe, kind: str
) -> None:
    with pytest.raises(WebhookRefusedError) as caught:
        await stripe.gateway.parse_webhook(*stripe_webhook(kind, {"object": "x"}, _now_s()))
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize("signature", ["t=1,v1=\xe9", "t={now},v1=\xe9", "t=\u0661,v1=00"])
async def test_a_signature_that_is_not_ascii_is_nobodys(stripe: Stripe, signature: str) -> None:
    headers = {"Stripe-Signature": signature.format(now=_now_s())}
    with pytest.raises(WebhookRefusedError) as caught:
        await stripe.gateway.parse_webhook(headers, b"{}")
    assert caught.value.reason == "bad_signature"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"id": 1}', b"\xff", b'{"data": 1}'])
async def test_a_signed_message_of_nonsense_is_refused(stripe: Stripe, body: bytes) -> None:
    headers = {"Stripe-Signature": sign(SECRET, body, _now_s())}
    with pytest.raises(WebhookRefusedError) as caught:
        await stripe.gateway.parse_webhook(headers, body)
    assert caught.value.reason in {"malformed", "bad_signature"}


async def test_a_payment_of_another_shop_on_the_account_is_not_ours(stripe: Stripe) -> None:
    form = {"amount": 100, "currency": "gbp"}
    other = (await stripe.http.post("/v1/payment_intents", json=form)).json()["id"]
    about = {"id": other, "object": "payment_intent"}
    headers, body = stripe_webhook("payment_intent.canceled", about, _now_s())
    with pytest.raises(WebhookRefusedError) as caught:
        await stripe.gateway.parse_webhook(headers, body)
    assert caught.value.reason == "unknown_object"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (("insufficient_funds", "card_declined"), DeclineCode.INSUFFICIENT_FUNDS),
        (("do_not_honor", "card_declined"), DeclineCode.CARD_DECLINED),
        ((None, "expired_card"), DeclineCode.EXPIRED_CARD),
        (("stolen_card", "card_declined"), DeclineCode.FRAUD),
        ((None, None), DeclineCode.OTHER),
    ],
)
def test_the_more_precise_code_counts(
    codes: tuple[str | None, str | None], expected: DeclineCode
) -> None:
    answer = declined_by(*codes)
    assert isinstance(answer, Declined)
    assert answer.decline_code is expected


def test_two_currencies_have_decimals_at_stripe_only() -> None:
    for code, there in (("GBP", 5), ("JPY", 5), ("ISK", 500), ("UGX", 500)):
        currency = Currency(code)
        assert to_stripe(5, currency) == there
        assert from_stripe(there, currency) == 5


def _now_s() -> int:

    return int(time.time())
