"""Stripe: PaymentIntents with manual capture, through Stripe's own package.

Each request has our idempotency key; Stripe answers the same key with the same result for a day at
least, and the key is kept in the metadata too, so that an attempt is found again after that. Only
Stripe's codes are passed on, never its texts, which may quote what was sent.

Several captures of one authorization need Stripe's multicapture, which an account must have, for
cards of some networks and up to 50 captures (https://docs.stripe.com/payments/multicapture).
Without it the first capture releases the rest, and a later one is refused for good.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, cast
from uuid import UUID

import stripe

from commands.payment.gateway import (
    AttemptChanged,
    AuthorizationRecord,
    AuthorizationStatus,
    ChargedBack,
    Declined,
    GatewayUnknownError,
    Moved,
    ProviderEvent,
    RefundChanged,
    Refused,
    Released,
    WebhookRefusedError,
    authorization_key,
    read_refund_key,
)
from domain.ids import OrderId
from domain.money import Currency
from domain.payment.events import DeclineCode
from infrastructure.payments.stripe_words import (
    decline,
    from_stripe,
    intent_status,
    is_chargeable,
    to_stripe,
)

MOST_LISTED = 1_000
PAGE = 100
NOT_FOUND = 404
SENT_BACK = frozenset({"failed", "canceled"})
"""What a refund is then; until then it has moved, or is under way for as long as Stripe likes."""
UNDECIDED = frozenset({"pending", "requires_action"})
"""What a refund is while it is under way."""


@dataclass(frozen=True, slots=True)
class StripeConfig:
    """How Stripe is reached.

    Attributes:
        api_base: of the emulator; None: Stripe's own.
        return_url: where a customer's bank sends them back to. Without one Stripe's script on the
            shop's page asks the customer, and there is no action URL.
        multicapture: the account has it.
    """

    api_key: str
    webhook_secret: str
    api_base: str | None = None
    return_url: str | None = None
    multicapture: bool = False
    timeout_s: float = 20.0


class StripeGateway:
    """The port, over Stripe's API."""

    name = "stripe"
    keys_kept: timedelta | None = timedelta(hours=23)  # Stripe says 24, and clocks differ

    def __init__(self, config: StripeConfig) -> None:
        self._config = config
        self._http: Any = stripe.AIOHTTPClient(timeout=config.timeout_s)
        self._client = stripe.StripeClient(
            config.api_key,
            base_addresses={"api": config.api_base} if config.api_base else {},
            http_client=self._http,
            max_network_retries=0,  # the payment service retries, after it has looked
        )

    async def close(self) -> None:
        """Close the connections to Stripe."""
        await self._http.close_async()

    async def authorize(
        self, *, order_id: OrderId, attempt: int, amount_minor: int, currency: Currency, token: str
    ) -> AuthorizationStatus:
        if not is_chargeable(currency):
            return Declined(DeclineCode.UNSUPPORTED_CURRENCY, f"amounts in {currency}")
        key = authorization_key(order_id, attempt)
        asked: dict[str, Any] = {
            "amount": to_stripe(amount_minor, currency),
            "currency": currency.lower(),
            "payment_method": token,
            "payment_method_types": ["card"],
            "capture_method": "manual",
            "confirm": True,
            "metadata": {"key": key, "order_id": str(order_id), "attempt": str(attempt)},
        }
        if self._config.return_url:
            asked["return_url"] = self._config.return_url
        if self._config.multicapture:
            asked["payment_method_options"] = {"card": {"request_multicapture": "if_available"}}
        try:
            with _unknown_unless_refused():
                intent = await self._client.v1.payment_intents.create_async(
                    cast("Any", asked), {"idempotency_key": key}
                )
        except stripe.CardError as error:
            return decline(error)
        except stripe.InvalidRequestError as error:
            missing = error.http_status == NOT_FOUND or error.code == "resource_missing"
            code = DeclineCode.UNKNOWN_TOKEN if missing else DeclineCode.OTHER
            return Declined(code, error.code or "invalid_request")
        return intent_status(intent)

    async def capture(
        self, *, reference: str, amount_minor: int, currency: Currency, key: str, last: bool
    ) -> Moved | Refused:
        asked: dict[str, Any] = {"amount_to_capture": to_stripe(amount_minor, currency)}
        if self._config.multicapture and not last:
            asked["final_capture"] = False
        try:
            with _unknown_unless_refused():
                await self._client.v1.payment_intents.capture_async(
                    reference, cast("Any", asked), {"idempotency_key": key}
                )
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            final = isinstance(error, stripe.InvalidRequestError)
            return Refused(error.code or "invalid_request", final=final)
        return Moved(amount_minor)

    async def void(self, *, reference: str, key: str) -> Released:
        try:
            with _unknown_unless_refused():
                await self._client.v1.payment_intents.cancel_async(
                    reference, {}, {"idempotency_key": key}
                )
        except stripe.InvalidRequestError as error:
            # Nothing is held where it was canceled before, or has been captured to the end.
            intent = await self._retrieve(reference)
            if intent is None or intent.status not in {"canceled", "succeeded"}:
                raise GatewayUnknownError(error.code or "invalid_request") from None
        return Released(reference)

    async def refund(
        self, *, reference: str, amount_minor: int, currency: Currency, key: str
    ) -> Moved | Refused:
        try:
            with _unknown_unless_refused():
                refund = await self._client.v1.refunds.create_async(
                    {
                        "payment_intent": reference,
                        "amount": to_stripe(amount_minor, currency),
                        "metadata": {"key": key},
                    },
                    {"idempotency_key": key},
                )
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            final = error.code != "balance_insufficient"
            return Refused(error.code or "invalid_request", final=final)
        return _refund_result(refund)

    async def look_up(
        self, *, order_id: OrderId, attempt: int, reference: str | None, asked_at: datetime
    ) -> AuthorizationRecord | None:
        if reference is not None:
            intent = await self._retrieve(reference)
        else:
            intent = await self._search(authorization_key(order_id, attempt), asked_at)
        if intent is None:
            return None
        currency = Currency(intent.currency.upper())
        return AuthorizationRecord(
            status=intent_status(intent),
            captured_minor=from_stripe(getattr(intent, "amount_received", 0), currency),
            refunds={
                _metadata(one)["key"]: from_stripe(one.amount, currency)
                for one in await self._refunds(intent)
                if "key" in _metadata(one) and one.status not in SENT_BACK
            },
        )

    async def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent | None:
        lower = {name.lower(): value for name, value in headers.items()}
        signature = lower.get("stripe-signature", "")
        if not signature.isascii():  # Stripe's package compares nothing else, and says TypeError
            raise WebhookRefusedError("bad_signature")
        try:
            event = self._client.construct_event(body, signature, self._config.webhook_secret)
            kind = event.type.split(".")[0]
            withdrawn = event.type == "charge.dispute.funds_withdrawn"
            # Stripe tells of refunds by both of these; some failures of them only by the second.
            of_refund = kind == "refund" or event.type == "charge.refund.updated"
            if not (kind == "payment_intent" or of_refund or withdrawn):
                return None  # before its object is read: those of other kinds may have no id
            about = event.data.object.to_dict()
            reference = about.get("payment_intent") or about["id"]
        except stripe.SignatureVerificationError as error:
            old = "tolerance" in str(error)
            raise WebhookRefusedError("old_timestamp" if old else "bad_signature") from None
        except (ValueError, KeyError, AttributeError) as error:
            raise WebhookRefusedError("malformed") from error
        intent = await self._retrieve(reference)
        ours = {} if intent is None else _metadata(intent)
        if intent is None or not {"order_id", "attempt"} <= ours.keys():
            raise WebhookRefusedError("unknown_object")
        currency = Currency(intent.currency.upper())
        fact: AttemptChanged | RefundChanged | ChargedBack
        if withdrawn:
            fact = ChargedBack(about["id"], from_stripe(about["amount"], currency))
        elif of_refund:
            with _unknown_unless_refused():
                refund = await self._client.v1.refunds.retrieve_async(about["id"])
            key = _metadata(refund).get("key", "")
            try:
                read_refund_key(key, OrderId(UUID(ours["order_id"])))
            except ValueError as error:
                raise WebhookRefusedError("unknown_object") from error
            if refund.status in UNDECIDED:
                return None  # Stripe tells once it is decided, and the call asks about it again
            fact = RefundChanged(key, _refund_result(refund))
        else:
            received = getattr(intent, "amount_received", 0)
            fact = AttemptChanged(
                int(ours["attempt"]), intent_status(intent), from_stripe(received, currency)
            )
        return ProviderEvent(event.id, OrderId(UUID(ours["order_id"])), fact)

    async def _retrieve(self, reference: str) -> stripe.PaymentIntent | None:
        try:
            with _unknown_unless_refused():
                return await self._client.v1.payment_intents.retrieve_async(reference)
        except stripe.InvalidRequestError as error:
            if error.http_status == NOT_FOUND or error.code == "resource_missing":
                return None
            raise GatewayUnknownError(error.code or "invalid_request") from None

    async def _refunds(self, intent: stripe.PaymentIntent) -> list[stripe.Refund]:
        if intent.latest_charge is None:
            return []
        with _unknown_unless_refused():
            page = await self._client.v1.refunds.list_async(
                {"payment_intent": intent.id, "limit": PAGE}
            )
        return page.data

    async def _search(self, key: str, asked_at: datetime) -> stripe.PaymentIntent | None:
        # The list is newest first and, unlike Stripe's search, never behind. It is bounded: what
        # is not found is sent again with its old key, which charges nothing anew.
        since_s = int(asked_at.timestamp()) - 300
        seen = count(1)
        with _unknown_unless_refused():
            page = await self._client.v1.payment_intents.list_async({"limit": PAGE})
            async for intent in page.auto_paging_iter():
                if _metadata(intent).get("key") == key:
                    return intent
                if intent.created < since_s or next(seen) >= MOST_LISTED:
                    break
        return None


@contextmanager
def _unknown_unless_refused() -> Iterator[None]:
    """Let definite refusals pass; whatever else goes wrong leaves the outcome unknown."""
    try:
        yield
    except (stripe.CardError, stripe.InvalidRequestError):
        raise
    except stripe.StripeError as error:
        # Not chained: the texts of an exception may quote what was sent.
        raise GatewayUnknownError(type(error).__name__) from None


def _metadata(one: stripe.PaymentIntent | stripe.Refund) -> dict[str, str]:
    return one.metadata.to_dict() if one.metadata else {}


def _refund_result(refund: stripe.Refund) -> Moved | Refused:
    if refund.status == "succeeded":
        return Moved(from_stripe(refund.amount, Currency(refund.currency.upper())))
    if refund.status in SENT_BACK:
        return Refused(getattr(refund, "failure_reason", None) or refund.status, final=False)
    raise GatewayUnknownError(f"refund_{refund.status}")
