"""Signatures of webhooks, in Stripe's scheme: `t=<seconds>,v1=<HMAC-SHA256 of "t.body">`.

https://docs.stripe.com/webhooks#verify-manually. The time is signed too, so that a message that was
overheard can't be sent again later. Several `v1` may stand there while a secret is being changed.
"""

import hmac

from commands.payment.gateway import WebhookRefusedError

TOLERANCE_S = 300
MOST_PARTS = 16
MOST_DIGITS = 16


def sign(secret: str, body: bytes, at_s: int) -> str:
    """Give the value of the header for a body that is sent at `at_s` (Unix time)."""
    return f"t={at_s},v1={_digest(secret, body, at_s)}"


def verify(secret: str, header: str | None, body: bytes, now_s: float) -> None:
    """Accept a message.

    Raises:
        WebhookRefusedError: `bad_signature`, or `old_timestamp` if it is more than five minutes
            off, in either direction.
    """
    parts = [part.partition("=") for part in (header or "").split(",", MOST_PARTS)]
    times = [value for name, _, value in parts if name == "t"]
    # isdecimal: int() would take signs, spaces and underscores as well.
    if len(times) != 1 or not (times[0].isascii() and times[0].isdecimal()):
        raise WebhookRefusedError("bad_signature")
    at_s = int(times[0][:MOST_DIGITS])
    expected = _digest(secret, body, at_s).encode()
    given = [value.encode() for name, _, value in parts if name == "v1"]
    if not any(hmac.compare_digest(expected, one) for one in given):
        raise WebhookRefusedError("bad_signature")
    if abs(now_s - at_s) > TOLERANCE_S:
        raise WebhookRefusedError("old_timestamp")


def _digest(secret: str, body: bytes, at_s: int) -> str:
    return hmac.new(secret.encode(), b"%d.%b" % (at_s, body), "sha256").hexdigest()
