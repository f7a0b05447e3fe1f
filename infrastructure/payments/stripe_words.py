"""Stripe's words in ours: amounts, declines and the states of a PaymentIntent. It does no I/O."""

import stripe

from commands.payment.gateway import (
    ActionRequired,
    AuthorizationStatus,
    Authorized,
    Declined,
    GatewayUnknownError,
    Released,
)
from domain.money import CURRENCY_EXPONENTS, Currency
from domain.payment.events import DeclineCode

HUNDREDFOLD = frozenset({"ISK", "UGX"})
"""No decimals in ISO 4217, two at Stripe: https://docs.stripe.com/currencies#special-cases."""
WHOLE_ONLY = frozenset({"MGA"})
"""Two decimals in ISO 4217, none at Stripe: https://docs.stripe.com/currencies#zero-decimal."""
MOST_DECIMALS = 2
"""Of three Stripe wants the last to be 0 (https://docs.stripe.com/currencies#three-decimal)."""

_DECLINE_CODES = {
    "insufficient_funds": DeclineCode.INSUFFICIENT_FUNDS,
    "expired_card": DeclineCode.EXPIRED_CARD,
    "fraudulent": DeclineCode.FRAUD,
    "lost_card": DeclineCode.FRAUD,
    "stolen_card": DeclineCode.FRAUD,
    "pickup_card": DeclineCode.FRAUD,
    "authentication_required": DeclineCode.ACTION_NOT_TAKEN,
    "payment_intent_authentication_failure": DeclineCode.ACTION_NOT_TAKEN,
    "generic_decline": DeclineCode.CARD_DECLINED,
    "card_declined": DeclineCode.CARD_DECLINED,
}


def is_chargeable(currency: Currency) -> bool:
    """Whether every amount of it can be said to Stripe.

    Where only some can, an order could be authorized whose parcels' shares can't be captured.
    """
    return currency not in WHOLE_ONLY and CURRENCY_EXPONENTS[currency] <= MOST_DECIMALS


def to_stripe(amount_minor: int, currency: Currency) -> int:
    return amount_minor * 100 if currency in HUNDREDFOLD else amount_minor


def from_stripe(amount: int, currency: Currency) -> int:
    return amount // 100 if currency in HUNDREDFOLD else amount


def decline(error: stripe.CardError) -> Declined:
    """Give the more precise of Stripe's two codes; its text may quote what was sent."""
    details = error.error
    return declined_by(getattr(details, "decline_code", None), error.code)


def declined_by(*codes: str | None) -> Declined:
    for code in codes:
        if code in _DECLINE_CODES:
            return Declined(_DECLINE_CODES[code], code)
    return Declined(DeclineCode.OTHER, next((code for code in codes if code), "declined"))


def intent_status(intent: stripe.PaymentIntent) -> AuthorizationStatus:
    """Tell what became of an authorization; captures are told apart from it, by their amount.

    Raises:
        GatewayUnknownError: it is not decided yet.
    """
    match intent.status:
        case "requires_capture" | "succeeded":
            currency = Currency(intent.currency.upper())
            return Authorized(intent.id, from_stripe(intent.amount, currency))
        case "requires_action":
            redirect = getattr(intent.next_action, "redirect_to_url", None)
            return ActionRequired(intent.id, getattr(redirect, "url", None) or "")
        case "requires_payment_method":
            error = intent.last_payment_error
            return declined_by(getattr(error, "decline_code", None), getattr(error, "code", None))
        case "canceled":
            return Released(intent.id)
        case _:
            raise GatewayUnknownError(f"intent_{intent.status}")
