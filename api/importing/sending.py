"""One POST to the API that ends in an answer: repeated while the other side is away.

Rule: a repeat carries the same Idempotency-Key and body, so it can't happen twice. A refusal is
an outcome, of this order alone. Anything else that isn't an answer stops the import, in words
that a person can act on: it is always safe to run it again.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

import httpx

SAFE_TO_REPEAT = "It is safe to run the import again: nothing is placed twice."
LONGEST_KEY = 255
ALREADY_DIFFERENT = "already_imported_differently"

_TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
_TRANSIENT_CODES = frozenset({"too_much_contention"})
_TRANSIENT_ERRORS = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
_NOT_LET_IN = frozenset({401, 403})
_IMPORTED_BEFORE = frozenset({"idempotency_key_reused", "external_reference_taken"})
_CODE = re.compile(r"[a-z][a-z0-9_]{0,99}")


class ImportStoppedError(Exception):
    """The import can't go on. What was done stands, and running it again is safe."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """`replayed`: an earlier run's answer to the very same request."""

    order_id: str
    position: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to put up with an API that is away. Waits double from the first to the longest."""

    attempts: int = 15
    first_wait_s: float = 0.2
    longest_wait_s: float = 5.0
    longest_retry_after_s: float = 30.0
    """What is honored of a Retry-After."""

    def wait_s(self, attempt: int, retry_after: str | None) -> float:
        """Give the wait after an attempt, from 1, in seconds."""
        doubled = min(self.first_wait_s * 2.0 ** (attempt - 1), self.longest_wait_s)
        if retry_after is None or not re.fullmatch(r"[0-9]{1,9}", retry_after):
            return doubled
        return max(doubled, min(float(retry_after), self.longest_retry_after_s))


def idempotency_key(*invoices: str) -> str:
    """Give `import-536365` or `import-C536379-536365`: one key per set of invoices.

    The API takes 1-255 visible ASCII characters; everything else, and the dash, is escaped.
    """
    escaped = (quote(invoice, safe="").replace("-", "%2D") for invoice in invoices)
    key = "-".join(["import", *escaped])
    if len(key) <= LONGEST_KEY:
        return key
    return f"import-sha256-{hashlib.sha256(key.encode()).hexdigest()}"


class Sender:
    """Posts with patience."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        patience: Patience,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._patience = patience
        self._sleep = sleep

    async def post(self, path: str, body: dict[str, object], key: str) -> Accepted | Refused:
        """Post until there is an answer. Raises ImportStoppedError."""
        for attempt in range(1, self._patience.attempts + 1):
            retry_after: str | None = None
            try:
                answer = await self._client.post(path, json=body, headers={"Idempotency-Key": key})
            except _TRANSIENT_ERRORS as error:
                fault = f"{type(error).__name__}: {error}".rstrip(": ")
            except httpx.HTTPError as error:
                raise ImportStoppedError(f"{path}: {error}. {SAFE_TO_REPEAT}") from error
            else:
                if not _is_transient(answer):
                    return _outcome(answer)
                fault = f"status {answer.status_code}"
                retry_after = answer.headers.get("Retry-After")
            if attempt < self._patience.attempts:
                await self._sleep(self._patience.wait_s(attempt, retry_after))
        raise ImportStoppedError(
            f"The API at {self._client.base_url} did not answer {self._patience.attempts} times "
            f"in a row ({fault}). {SAFE_TO_REPEAT}"
        )


def _is_transient(answer: httpx.Response) -> bool:
    return answer.status_code in _TRANSIENT_STATUSES or _code(answer) in _TRANSIENT_CODES


def _outcome(answer: httpx.Response) -> Accepted | Refused:
    if answer.is_success:
        document = _document(answer)
        order_id, position = document.get("order_id"), document.get("position")
        if not isinstance(order_id, str) or not isinstance(position, int):
            raise ImportStoppedError(
                f"The answer to {answer.request.url} names no order: is this Ordertrail's API?"
            )
        replayed = answer.headers.get("Idempotent-Replayed", "").lower() == "true"
        return Accepted(order_id, position, replayed)
    code = _code(answer)
    if answer.status_code in _NOT_LET_IN:
        raise ImportStoppedError(
            f"The API did not let the import in ({answer.status_code} {code or ''}): it needs a "
            f"valid token of the role service. {SAFE_TO_REPEAT}"
        )
    if code is None:
        raise ImportStoppedError(
            f"{answer.request.url} answered {answer.status_code} and not as Ordertrail's API does."
        )
    return Refused(ALREADY_DIFFERENT if code in _IMPORTED_BEFORE else f"refused_{code}")


def _code(answer: httpx.Response) -> str | None:
    """Give the code of a problem document (RFC 9457), None for anything else."""
    if not answer.is_client_error:
        return None
    code = _document(answer).get("code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def _document(answer: httpx.Response) -> dict[str, object]:
    try:
        document = answer.json()
    except ValueError:  # not JSON, so there is nothing in it for us: the caller says what then
        return {}
    return document if isinstance(document, dict) else {}
