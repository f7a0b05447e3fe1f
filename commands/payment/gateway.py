"""The port to a payment provider: what we ask of it, and what it may answer.

Rule: every request that moves money carries an idempotency key, made here of what it is for. The
same key never moves money twice, so whoever does not know what came of a request looks it up, and
may then send the very same one again. After a definite failure the next try has the next key.

No card data passes: a token is the provider's own name for a card, and is not kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from domain.ids import OrderId
from domain.money import Currency
from domain.payment.events import DeclineCode


class GatewayUnknownError(Exception):
    """What came of a request is not known: no answer in time, a broken one, or nonsense.

    Its text names the kind of the trouble; it never holds what a provider has sent.
    """


class WebhookRefusedError(Exception):
    """A webhook that is not to be believed.

    Attributes:
        reason: `bad_signature`, `old_timestamp`, `malformed` or `unknown_object`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Authorized:
    """The money is held. Attributes: reference: the provider's id of the authorization."""

    reference: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """Attributes: action_url: where the customer acts; '' where the provider's own script does."""

    reference: str
    action_url: str


@dataclass(frozen=True, slots=True)
class Declined:
    decline_code: DeclineCode
    detail: str


@dataclass(frozen=True, slots=True)
class Released:
    """The provider holds nothing (any more) of this authorization, except what was captured."""

    reference: str


AuthorizationStatus: TypeAlias = Authorized | ActionRequired | Declined | Released


@dataclass(frozen=True, slots=True)
class Moved:
    """The money has moved. Attributes: amount_minor: as the provider says."""

    amount_minor: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing has moved. Attributes: final: this provider will never do it."""

    detail: str
    final: bool


@dataclass(frozen=True, slots=True)
class AuthorizationRecord:
    """All that the provider knows of one authorization.

    Attributes:
        status: `Authorized` also after captures; `Released` after a void or when it ran out.
        captured_minor: over all captures.
        refunds: amount of each refund that was not sent back, made or under way, by our
            idempotency key.
    """

    status: AuthorizationStatus
    captured_minor: int = 0
    refunds: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttemptChanged:
    """What became of an attempt. `captured_minor`: what was taken of it in total so far."""

    attempt: int
    status: AuthorizationStatus
    captured_minor: int = 0


@dataclass(frozen=True, slots=True)
class RefundChanged:
    """Attributes: key: our idempotency key of the refund (see `read_refund_key`)."""

    key: str
    result: Moved | Refused


@dataclass(frozen=True, slots=True)
class ChargedBack:
    dispute_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """Attributes: event_id: the provider's id of the message, the same for its repetitions."""

    event_id: str
    order_id: OrderId
    fact: AttemptChanged | RefundChanged | ChargedBack


class PaymentGateway(Protocol):
    """One provider. Every method may raise GatewayUnknownError."""

    name: str
    """As in `PaymentAuthorizationRequested.provider`."""
    keys_kept: timedelta | None
    """How long it surely knows a key again; None: for good."""

    async def authorize(
        self, *, order_id: OrderId, attempt: int, amount_minor: int, currency: Currency, token: str
    ) -> AuthorizationStatus:
        """Hold an amount, above 0, on the card of a token.

        `Released`: it was sent again after it had been voided.
        """
        ...

    async def capture(
        self, *, reference: str, amount_minor: int, currency: Currency, key: str, last: bool
    ) -> Moved | Refused:
        """Take a part of what is held. `last`: nothing more will be taken, the rest may go."""
        ...

    async def void(self, *, reference: str, key: str) -> Released:
        """Let go of all that is not captured. It is no error where nothing is held any more."""
        ...

    async def refund(
        self, *, reference: str, amount_minor: int, currency: Currency, key: str
    ) -> Moved | Refused:
        """Give captured money back."""
        ...

    async def look_up(
        self, *, order_id: OrderId, attempt: int, reference: str | None, asked_at: datetime
    ) -> AuthorizationRecord | None:
        """Ask what is known of an attempt; None: nothing, so it may be sent with its old key.

        `asked_at`: when it was first asked for; `reference`: where it is known.
        """
        ...

    async def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent | None:
        """Read a message of the provider; None: it is genuine, and of a kind that we don't record.

        A message only says where to look: what it is about is read at the provider. So messages
        that come out of order tell the same, and the newest.

        Raises:
            WebhookRefusedError: it is not genuine, too old, or about an object that is not ours.
            GatewayUnknownError: the provider can't be asked now; it will send it again.
        """
        ...


def authorization_key(order_id: OrderId, attempt: int) -> str:
    return f"{order_id}/authorize/{attempt}"


def capture_key(order_id: OrderId, capture_id: str, try_number: int) -> str:
    return f"{order_id}/capture/{capture_id}/{try_number}"


def void_key(order_id: OrderId, attempt: int) -> str:
    return f"{order_id}/void/{attempt}"


def refund_key(order_id: OrderId, refund_id: str, try_number: int) -> str:
    return f"{order_id}/refund/{refund_id}/{try_number}"


def read_refund_key(key: str, order_id: OrderId) -> tuple[str, int]:
    """Give refund id and number of the try; a refund id may hold slashes.

    Raises:
        ValueError: it is no key of a refund of this order.
    """
    head, number = key.rsplit("/", 1)
    owner, kind, refund_id = head.split("/", 2)
    if (owner, kind) != (str(order_id), "refund"):
        raise ValueError("this is no key of a refund of this order")
    return refund_id, int(number)
