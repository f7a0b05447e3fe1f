"""A payment provider for local use, with a ledger that survives whatever is killed.

It behaves as a foreign provider would: idempotent by key, in transactions of its own, and with
every trouble that a test token asks for. What it has charged it has charged, whether or not its
answer arrives. Tokens are named after Stripe's (https://docs.stripe.com/testing).
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from commands.payment.gateway import (
    ActionRequired,
    AttemptChanged,
    AuthorizationRecord,
    AuthorizationStatus,
    Authorized,
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
from domain.money import LARGEST_AMOUNT_MINOR, Currency
from domain.payment.events import DeclineCode
from infrastructure.payments.signature import sign, verify
from infrastructure.postgres.pools import async_pool

SIGNATURE_HEADER = "sandbox-signature"
SLOW_S = 5.0
POOL_TIMEOUT_S = 5.0

AUTHORIZE = """
INSERT INTO sandbox.authorizations
    (reference, key, order_id, attempt, amount_minor, currency, status, decline_code, capture_fails)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
FIND = "SELECT * FROM sandbox.authorizations WHERE order_id = %s AND attempt = %s"
FIND_REFERENCE = "SELECT * FROM sandbox.authorizations WHERE reference = %s"
MOVE = "SELECT sandbox.move(%s, %s, %s, %s) AS answer"
REFUNDS = "SELECT key, amount_minor FROM sandbox.movements WHERE reference = %s AND kind = 'refund'"
ACT = (
    "UPDATE sandbox.authorizations SET status = %s, decline_code = %s"
    " WHERE reference = %s AND status = 'action_required'"
)


@dataclass(frozen=True, slots=True)
class _Scenario:
    """What a token does. `charges`: False for an answer of nonsense without a charge."""

    status: str = "authorized"
    decline_code: DeclineCode | None = None
    capture_fails: bool = False
    slow: bool = False
    times_out: bool = False
    charges: bool = True


SCENARIOS: Mapping[str, _Scenario] = {
    "tok_visa": _Scenario(),
    "tok_chargeDeclined": _Scenario("declined", DeclineCode.CARD_DECLINED),
    "tok_chargeDeclinedInsufficientFunds": _Scenario("declined", DeclineCode.INSUFFICIENT_FUNDS),
    "tok_chargeDeclinedExpiredCard": _Scenario("declined", DeclineCode.EXPIRED_CARD),
    "tok_chargeDeclinedFraudulent": _Scenario("declined", DeclineCode.FRAUD),
    "tok_authenticationRequired": _Scenario("action_required"),
    "tok_captureFails": _Scenario(capture_fails=True),
    "tok_timeoutAfterCharging": _Scenario(times_out=True),
    "tok_slow": _Scenario(slow=True),
    "tok_nonsense": _Scenario(charges=False),
}
UNKNOWN = _Scenario("declined", DeclineCode.UNKNOWN_TOKEN)


_Name = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z")]
"""Without control characters, of which PostgreSQL keeps no NUL."""


class _Message(msgspec.Struct, omit_defaults=True):
    """The body of a webhook. Attributes: kind: `attempt`, `refund_failed` or `charged_back`."""

    id: _Name
    kind: _Name
    reference: _Name
    refund_key: _Name = ""
    dispute_id: _Name = ""
    amount_minor: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_AMOUNT_MINOR)] = 0


class SandboxGateway:
    """The port, over the sandbox's own ledger. The pool must be in autocommit, with dict rows."""

    name = "sandbox"
    keys_kept: timedelta | None = None

    def __init__(
        self,
        pool: AsyncConnectionPool[psycopg.AsyncConnection[DictRow]],
        webhook_secret: str,
        *,
        slow_s: float = SLOW_S,
        timeout_s: float = 1.0,
    ) -> None:
        self._pool = pool
        self._secret = webhook_secret
        self._slow_s = slow_s
        self._timeout_s = timeout_s

    async def authorize(
        self, *, order_id: OrderId, attempt: int, amount_minor: int, currency: Currency, token: str
    ) -> AuthorizationStatus:
        scenario = SCENARIOS.get(token, UNKNOWN)
        if not scenario.charges:
            raise GatewayUnknownError("nonsense")
        if scenario.slow:
            await asyncio.sleep(self._slow_s)
        new = [
            f"sbx_{secrets.token_hex(12)}",
            authorization_key(order_id, attempt),
            order_id,
            attempt,
            amount_minor,
            currency,
            scenario.status,
            scenario.decline_code,
            scenario.capture_fails,
        ]
        inserted, row = await self._insert(new)
        if (row["amount_minor"], row["currency"]) != (amount_minor, currency):
            raise GatewayUnknownError("idempotency_key_reused")
        if scenario.times_out and inserted:
            await asyncio.sleep(self._timeout_s)
            raise GatewayUnknownError("timeout")
        return _status(row)

    async def capture(
        self, *, reference: str, amount_minor: int, currency: Currency, key: str, last: bool
    ) -> Moved | Refused:
        del currency, last  # a sandbox's authorization is of one currency, and takes many captures
        return await self._move(reference, "capture", amount_minor, key)

    async def void(self, *, reference: str, key: str) -> Released:
        result = await self._move(reference, "release", 0, key)
        if isinstance(result, Refused):
            raise GatewayUnknownError(result.detail)
        return Released(reference)

    async def refund(
        self, *, reference: str, amount_minor: int, currency: Currency, key: str
    ) -> Moved | Refused:
        del currency
        return await self._move(reference, "refund", amount_minor, key)

    async def look_up(
        self, *, order_id: OrderId, attempt: int, reference: str | None, asked_at: datetime
    ) -> AuthorizationRecord | None:
        del reference, asked_at
        row = await self._one(FIND, [order_id, attempt])
        if row is None:
            return None
        refunds = await self._all(REFUNDS, [row["reference"]])
        return AuthorizationRecord(
            status=_status(row),
            captured_minor=row["captured_minor"],
            refunds={one["key"]: one["amount_minor"] for one in refunds},
        )

    async def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent | None:
        lower = {name.lower(): value for name, value in headers.items()}
        verify(self._secret, lower.get(SIGNATURE_HEADER), body, time.time())
        try:
            message = msgspec.json.decode(body, type=_Message)
        except ValueError as error:
            raise WebhookRefusedError("malformed") from error
        row = await self._one(FIND_REFERENCE, [message.reference])
        if row is None:
            raise WebhookRefusedError("unknown_object")
        fact: AttemptChanged | RefundChanged | ChargedBack
        if message.kind == "attempt":
            fact = AttemptChanged(row["attempt"], _status(row), row["captured_minor"])
        elif message.kind == "refund_failed":
            try:
                read_refund_key(message.refund_key, OrderId(row["order_id"]))
            except ValueError as error:
                raise WebhookRefusedError("malformed") from error
            fact = RefundChanged(message.refund_key, Refused("sent_back", final=False))
        elif message.kind == "charged_back":
            if not message.dispute_id or not message.amount_minor:
                raise WebhookRefusedError("malformed")
            fact = ChargedBack(message.dispute_id, message.amount_minor)
        else:
            return None
        order_id: UUID = row["order_id"]
        return ProviderEvent(message.id, OrderId(order_id), fact)

    async def act(self, reference: str, *, approve: bool) -> None:
        """Do what a customer does in their bank's app; nothing where nobody waits for it."""
        status = "authorized" if approve else "declined"
        code = None if approve else DeclineCode.ACTION_NOT_TAKEN
        async with self._pool.connection() as connection:
            await connection.execute(ACT, [status, code, reference])

    def webhook(
        self, kind: str, reference: str, *, at_s: int | None = None, **more: Any
    ) -> tuple[Mapping[str, str], bytes]:
        """Write a signed message; `more` as in `_Message`. Give its headers and body."""
        message = _Message(f"evt_{secrets.token_hex(12)}", kind, reference, **more)
        body = msgspec.json.encode(message)
        signature = sign(self._secret, body, int(time.time()) if at_s is None else at_s)
        return {SIGNATURE_HEADER: signature, "content-type": "application/json"}, body

    async def _insert(self, new: list[object]) -> tuple[bool, DictRow]:
        order_id, attempt = new[2], new[3]
        with _unknown_if_lost():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(AUTHORIZE, new)
                inserted = cursor.rowcount == 1
                row = await (await connection.execute(FIND, [order_id, attempt])).fetchone()
        if row is None:
            raise GatewayUnknownError("ledger_lost_a_row")
        return inserted, row

    async def _move(
        self, reference: str, kind: str, amount_minor: int, key: str
    ) -> Moved | Refused:
        row = await self._one(MOVE, [key, reference, kind, amount_minor])
        answer = "" if row is None else row["answer"]
        if answer == "done":
            return Moved(amount_minor)
        if answer in {"refused", "unknown"}:
            return Refused(answer, final=answer == "unknown")
        raise GatewayUnknownError(f"{kind}_{answer}")

    async def _one(self, query: str, values: list[object]) -> DictRow | None:
        rows = await self._all(query, values)
        return rows[0] if rows else None

    async def _all(self, query: str, values: list[object]) -> list[DictRow]:
        with _unknown_if_lost():
            async with self._pool.connection() as connection:
                return await (await connection.execute(query, values)).fetchall()


@asynccontextmanager
async def open_sandbox(
    postgres_url: str, webhook_secret: str, *, pool_size: int = 4
) -> AsyncIterator[SandboxGateway]:
    """Open the sandbox on connections of its own; it opens while the database is down, too."""
    async with async_pool(
        postgres_url, size=pool_size, timeout_s=POOL_TIMEOUT_S, row_factory=dict_row
    ) as pool:
        yield SandboxGateway(pool, webhook_secret)


@contextmanager
def _unknown_if_lost() -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise GatewayUnknownError("connection") from error


def _status(row: DictRow) -> AuthorizationStatus:
    reference: str = row["reference"]
    match row["status"]:
        case "authorized":
            return Authorized(reference, row["amount_minor"])
        case "action_required":
            return ActionRequired(reference, f"https://sandbox.invalid/act/{reference}")
        case "declined":
            return Declined(DeclineCode(row["decline_code"]), "declined by a test token")
        case _:
            return Released(reference)
