"""What a payment test needs of either provider, so that one suite runs on both."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

import httpx

from commands.payment.gateway import Authorized, PaymentGateway
from domain.ids import OrderId
from domain.money import Currency
from infrastructure.payments.sandbox import SandboxGateway
from infrastructure.payments.signature import sign
from infrastructure.payments.stripe_gateway import StripeGateway

GBP = Currency("GBP")
SECRET = "whsec_of_these_tests"
API_KEY = "sk_test_of_these_tests"
Webhook = tuple[Mapping[str, str], bytes]


@dataclass(frozen=True)
class Tokens:
    good: str
    declined: str
    action: str


class Provider(Protocol):
    gateway: PaymentGateway
    tokens: Tokens

    async def webhook(self, reference: str, *, at_s: int, secret: str = SECRET) -> Webhook: ...
    async def dispute(self, reference: str, dispute_id: str, amount_minor: int) -> Webhook: ...
    async def act(self, reference: str, *, approve: bool) -> None: ...


class Sandbox:
    def __init__(self, gateway: SandboxGateway) -> None:
        self.gateway: PaymentGateway = gateway
        self._sandbox = gateway
        self.tokens = Tokens("tok_visa", "tok_chargeDeclined", "tok_authenticationRequired")

    async def webhook(self, reference: str, *, at_s: int, secret: str = SECRET) -> Webhook:
        headers, body = self._sandbox.webhook("attempt", reference, at_s=at_s)
        return {**headers, "sandbox-signature": sign(secret, body, at_s)}, body

    async def dispute(self, reference: str, dispute_id: str, amount_minor: int) -> Webhook:
        return self._sandbox.webhook(
            "charged_back", reference, dispute_id=dispute_id, amount_minor=amount_minor
        )

    async def act(self, reference: str, *, approve: bool) -> None:
        await self._sandbox.act(reference, approve=approve)


class Stripe:
    """Over the emulator, whose cards are named by Stripe's public test numbers."""

    def __init__(self, gateway: StripeGateway, http: httpx.AsyncClient, tokens: Tokens) -> None:
        self.gateway: PaymentGateway = gateway
        self.http = http
        self.tokens = tokens

    async def webhook(self, reference: str, *, at_s: int, secret: str = SECRET) -> Webhook:
        about = {"id": reference, "object": "payment_intent"}
        return stripe_webhook("payment_intent.amount_capturable_updated", about, at_s, secret)

    async def dispute(self, reference: str, dispute_id: str, amount_minor: int) -> Webhook:
        about = {
            "id": dispute_id,
            "object": "dispute",
            "payment_intent": reference,
            "amount": amount_minor,
        }
        return stripe_webhook("charge.dispute.funds_withdrawn", about, int(time.time()))

    async def act(self, reference: str, *, approve: bool) -> None:
        url = f"/v1/payment_intents/{reference}"
        intent = (await self.http.get(url)).json()
        form = {"success": str(approve).lower(), "client_secret": intent["client_secret"]}
        await self.http.post(f"{url}/_authenticate", data=form)


def stripe_webhook(
    kind: str, about: Mapping[str, object], at_s: int, secret: str = SECRET
) -> Webhook:
    """Write a message as Stripe does, signed by our own implementation of its scheme."""
    event = {
        "id": f"evt_{secrets.token_hex(8)}",
        "object": "event",
        "type": kind,
        "data": {"object": about},
    }
    body = json.dumps(event).encode()
    return {"Stripe-Signature": sign(secret, body, at_s)}, body


async def new_card(http: httpx.AsyncClient, number: str) -> str:
    """Make a card at the emulator, as Stripe's script on a shop's page does; give its token."""
    card = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    answer = await http.post("/v1/payment_methods", json={"type": "card", "card": card})
    token: str = answer.raise_for_status().json()["id"]
    return token


async def hold(
    provider: Provider, amount_minor: int = 1_000, **changes: Any
) -> tuple[OrderId, str]:
    """Authorize an amount for a new order; give the order's id and the provider's reference."""
    order_id = OrderId(uuid4())
    outcome = await authorize(provider, order_id, amount_minor=amount_minor, **changes)
    assert isinstance(outcome, Authorized)
    return order_id, outcome.reference


async def authorize(provider: Provider, order_id: OrderId, **changes: Any) -> Any:
    wishes: dict[str, Any] = {
        "order_id": order_id,
        "attempt": 1,
        "amount_minor": 1_000,
        "currency": GBP,
        "token": provider.tokens.good,
    }
    return await provider.gateway.authorize(**(wishes | changes))


async def look_up(provider: Provider, order_id: OrderId, reference: str | None = None) -> Any:
    return await provider.gateway.look_up(
        order_id=order_id, attempt=1, reference=reference, asked_at=datetime.now(UTC)
    )
