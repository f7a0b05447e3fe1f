"""Who is asking: bearer tokens (RFC 6750, RFC 7519) checked against a JWKS (RFC 7517).

Rule: the algorithm is the key's own, never the token's word; `none` and shared secrets are not
even on the list (RFC 8725, 3.1). A refusal does not say which check failed.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import orjson
import structlog

from api.http.fields import CONTROL_CHARACTER
from domain.envelope import Actor, Role

LEEWAY_S = 30
LAST_EXPIRY = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""
LONGEST_TOKEN = 8_192
LONGEST_SUBJECT = 128
LONGEST_SEEN = 1_024
"""Bytes of an Authorization header that is known by itself, not only by its token's digest."""
MOST_CACHED = 10_000
RELOAD_INTERVAL_S = 10.0
SMALLEST_RSA_BITS = 2_048
ALGORITHMS: Mapping[tuple[str, str | None], str] = {
    ("OKP", "Ed25519"): "EdDSA",
    ("EC", "P-256"): "ES256",
    ("RSA", None): "RS256",
}
"""The one algorithm of each kind of key (`kty`, `crv`) that we take."""

NOBODYS_TOKEN = (Role.OPERATOR, Role.PROCESS)
"""Roles of the platform's own people and processes, who don't come over HTTP."""

_log = structlog.get_logger(__name__)


class TokenRefusedError(Exception):
    """A token that is not good for anything here."""


@dataclass(frozen=True, slots=True)
class _Key:
    key: jwt.PyJWK
    algorithm: str


class Authenticator:
    """Verifies tokens; remembers the verified ones, `MOST_CACHED` at most, until they expire."""

    def __init__(
        self,
        read_keys: Callable[[], bytes],
        *,
        issuer: str,
        audience: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Read the keys. `read_keys` gives the JWKS document, and is asked again at a new `kid`.

        Raises:
            ValueError: the document is no JWKS, or holds no key that we take.
            OSError: as `read_keys` does.
        """
        self._read_keys = read_keys
        self._issuer = issuer
        self._audience = audience
        self._now = now
        self._keys = parse_keys(read_keys())
        self._keys_read_at = now()
        self._verified: dict[bytes, tuple[Actor, float]] = {}
        self._seen: dict[bytes, tuple[Actor, float]] = {}

    def authenticate_header(self, value: bytes) -> Actor:
        """Say whose Authorization header this is. Raises TokenRefusedError."""
        known = self._seen.get(value)
        if known is not None and self._now() < known[1]:
            return known[0]
        scheme, _, token = value.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            raise TokenRefusedError
        verified = self._authenticate(token.strip())
        if len(value) <= LONGEST_SEEN:
            _remember(self._seen, value, verified)
        return verified[0]

    def authenticate(self, token: str) -> Actor:
        """Say whose token this is. Raises TokenRefusedError."""
        return self._authenticate(token)[0]

    def _authenticate(self, token: str) -> tuple[Actor, float]:
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is not None:
            if self._now() < known[1]:
                return known
            del self._verified[digest]
        if len(token) > LONGEST_TOKEN:
            raise TokenRefusedError
        try:
            verified = self._verify(token)
        # PyJWT lets these through for hostile headers and claims (nesting, types, huge numbers).
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise TokenRefusedError from error
        _remember(self._verified, digest, verified)
        return verified

    def _verify(self, token: str) -> tuple[Actor, float]:
        key = self._find_key(jwt.get_unverified_header(token).get("kid"))
        claims = jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        return _actor(claims), _expiry(claims) + LEEWAY_S

    def _find_key(self, kid: object) -> _Key:
        if not isinstance(kid, str):
            raise TokenRefusedError
        if kid not in self._keys and self._now() - self._keys_read_at >= RELOAD_INTERVAL_S:
            self._reload()
        try:
            return self._keys[kid]
        except KeyError as error:
            raise TokenRefusedError from error

    def _reload(self) -> None:
        self._keys_read_at = self._now()
        try:
            self._keys = parse_keys(self._read_keys())
        except (OSError, ValueError):
            # The keys that we have are still good; a half-written file mustn't lock everybody out.
            _log.exception("jwks_reload_failed")
            return
        self._verified.clear()
        self._seen.clear()


def _remember(
    cache: dict[bytes, tuple[Actor, float]], key: bytes, verified: tuple[Actor, float]
) -> None:
    if key not in cache and len(cache) >= MOST_CACHED:
        del cache[next(iter(cache))]
    cache[key] = verified


def parse_keys(document: bytes) -> Mapping[str, _Key]:
    """Read a JWKS: public signature keys with a `kid`, of a kind that we take; others are skipped.

    Raises:
        ValueError: it is no JWKS, or holds no key that we take.
    """
    parsed = orjson.loads(document)
    entries = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JWKS")  # noqa: TRY004  # wrong content, not a wrong call
    keys: dict[str, _Key] = {}
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("kid"), str):
            key = _key(entry)
            if key is not None:
                keys[entry["kid"]] = key
    if not keys:
        raise ValueError("the JWKS holds no usable key")
    return keys


def _key(entry: Mapping[str, Any]) -> _Key | None:
    algorithm = ALGORITHMS.get((str(entry.get("kty")), entry.get("crv")))
    if algorithm is None or entry.get("use", "sig") != "sig":
        return None
    if entry.get("alg", algorithm) != algorithm:
        return None
    try:
        key = jwt.PyJWK.from_dict(
            {name: value for name, value in entry.items() if name != "d"}, algorithm=algorithm
        )
    except jwt.PyJWTError as error:
        raise ValueError("the JWKS holds a broken key") from error
    if algorithm == "RS256" and key.key.key_size < SMALLEST_RSA_BITS:
        return None
    return _Key(key, algorithm)


def _expiry(claims: Mapping[str, Any]) -> float:
    """Read `exp`: a NumericDate is a JSON number (RFC 7519, 2); and no token is for ever."""
    expiry = claims["exp"]
    if isinstance(expiry, bool) or not isinstance(expiry, int | float) or expiry > LAST_EXPIRY:
        raise TokenRefusedError
    return float(expiry)


def _actor(claims: Mapping[str, Any]) -> Actor:
    subject, role = claims["sub"], claims.get("role")
    subject.encode("utf-8")  # a lone surrogate is a ValueError
    if (
        not subject.strip()
        or len(subject) > LONGEST_SUBJECT
        or CONTROL_CHARACTER.search(subject)
        or not isinstance(role, str)
        or role in NOBODYS_TOKEN
    ):
        raise TokenRefusedError
    return Actor(subject, Role(role))
