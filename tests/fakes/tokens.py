"""An issuer of tokens, good and bad."""

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

ISSUER = "ordertrail-test"
AUDIENCE = "ordertrail"


class Issuer:
    """Signs with an Ed25519 key of its own, which `jwks` gives the public half of."""

    def __init__(self, kid: str = "key-1") -> None:
        self.kid = kid
        self.key = Ed25519PrivateKey.generate()

    def public_jwk(self) -> dict[str, Any]:
        jwk: dict[str, Any] = json.loads(OKPAlgorithm.to_jwk(self.key.public_key()))
        return {**jwk, "kid": self.kid, "alg": "EdDSA", "use": "sig"}

    def jwks(self) -> bytes:
        return json.dumps({"keys": [self.public_jwk()]}).encode()

    def claims(
        self, role: str = "service", subject: str = "shop", **changes: Any
    ) -> dict[str, Any]:
        """Give good claims; a change to None leaves the claim out."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + 600,
            "role": role,
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, role: str = "service", subject: str = "shop", **changes: Any) -> str:
        return jwt.encode(
            self.claims(role, subject, **changes),
            self.key,
            algorithm="EdDSA",
            headers={"kid": self.kid},
        )
