"""The secrets of one local platform, drawn at its first `up` and kept for as long as its data.

Losing the master key is losing every customer's personal data; so nothing here is ever written
over. The signing key is for `ordertrail token` alone: services get the public half. The seal key
is for the sealer alone: whoever verifies needs the public half.
"""

import base64
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infrastructure.local.errors import LocalError
from infrastructure.local.home import Home, write_whole

ISSUER = "ordertrail-local"
AUDIENCE = "ordertrail"
ROLES = ("customer", "support", "merchant", "service", "auditor")
MASTER_KEY_BYTES = 32
PASSWORDS = ("postgres", "redis", "service", "s3", "payment_webhook", "carrier_webhook")


@dataclass(frozen=True, slots=True)
class Keys:
    master_key_file: Path
    signing_key_file: Path
    jwks_file: Path
    seal_key_file: Path
    seal_public_key_file: Path
    postgres_password: str
    redis_password: str
    service_password: str
    s3_secret: str
    payment_webhook_secret: str
    carrier_webhook_secret: str


def ensure_keys(home: Home) -> Keys:
    """Give the home's secrets, and draw those that it lacks."""
    home.keys.mkdir(mode=0o700, exist_ok=True)
    master, signing = home.keys / "master.key", home.keys / "signing.jwk"
    jwks, passwords = home.keys / "jwks.json", home.keys / "passwords.json"
    if not master.exists():
        write_whole(master, base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES)).decode())
    if not signing.exists():
        write_whole(signing, json.dumps(_new_signing_key()))
    if not jwks.exists():
        private = json.loads(signing.read_text())
        public = {name: value for name, value in private.items() if name != "d"}
        write_whole(jwks, json.dumps({"keys": [public]}))
    seal, seal_public = home.keys / "seal.key", home.keys / "seal.pub"
    if not (seal.exists() and seal_public.exists()):
        from infrastructure.audit import seals  # noqa: PLC0415 - first up only

        if not seal.exists():
            write_whole(seal, seals.new_signing_key())
        write_whole(seal_public, seals.public_half(seal))
    known: dict[str, str] = json.loads(passwords.read_text()) if passwords.exists() else {}
    if missing := [name for name in PASSWORDS if name not in known]:
        known |= {name: secrets.token_hex(24) for name in missing}
        write_whole(passwords, json.dumps(known))
    return Keys(master, signing, jwks, seal, seal_public, *(known[name] for name in PASSWORDS))


def whsec(secret: str) -> str:
    """Write a secret as Standard Webhooks does."""
    return f"whsec_{base64.b64encode(bytes.fromhex(secret)).decode()}"


def mint_token(role: str, subject: str, ttl_s: int) -> str:
    """Sign a token (JWT, EdDSA) for local use, valid from now for `ttl_s` seconds.

    The key is the one that the environment names (see `home.load_home_environment`).

    Raises:
        LocalError: there is no key yet, or no such role.
    """
    import jwt  # noqa: PLC0415 - only this needs it, and `up` should start fast

    if role not in ROLES:
        raise LocalError(f"there is no role {role}: choose one of {', '.join(ROLES)}")
    try:
        key = json.loads(Path(os.environ["ORDERTRAIL_SIGNING_KEY_FILE"]).read_text())
    except (KeyError, FileNotFoundError):
        raise LocalError("there is no signing key yet: `./run up` makes it") from None
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "role": role}
    return jwt.encode(
        {**claims, "iat": now, "exp": now + ttl_s},
        jwt.PyJWK(key).key,
        algorithm="EdDSA",
        headers={"kid": key["kid"]},
    )


def _new_signing_key() -> Mapping[str, str]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - first up only
        Ed25519PrivateKey,
    )

    private = Ed25519PrivateKey.generate()
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "kid": f"local-{secrets.token_hex(8)}",
        "x": _base64url(private.public_key().public_bytes_raw()),
        "d": _base64url(private.private_bytes_raw()),
    }


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
