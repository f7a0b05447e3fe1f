"""The payment gateway's port for tests of the surface: it only knows webhooks that a test wrote."""

from collections.abc import Mapping
from datetime import timedelta
from typing import NoReturn

from commands.payment.gateway import ProviderEvent, WebhookRefusedError


class WebhookGateway:
    """Attributes: events: what the webhook with such a body says."""

    name = "sandbox"
    keys_kept: timedelta | None = None

    def __init__(self) -> None:
        self.events: dict[bytes, ProviderEvent | None] = {}

    async def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent | None:
        if headers.get("sandbox-signature") != "right":
            raise WebhookRefusedError("bad_signature")
        if body not in self.events:
            raise WebhookRefusedError("unknown_object")
        return self.events[body]

    async def _never(self, **_: object) -> NoReturn:
        raise AssertionError("the surface asks no provider for money")

    authorize = capture = void = refund = look_up = _never
