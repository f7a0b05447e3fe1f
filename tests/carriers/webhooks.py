"""Webhooks as their senders make them, signed with test secrets."""

import base64
import hashlib
import hmac
import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from infrastructure.carriers.easypost import EasyPostWebhooks
from infrastructure.carriers.generic import GenericWebhooks

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = bytes(range(32))
GENERIC = GenericWebhooks(SecretStr(f"whsec_{base64.b64encode(KEY).decode()}"))
EASYPOST_SECRET = "s\u00e9cret"
EASYPOST = EasyPostWebhooks(SecretStr(EASYPOST_SECRET))


def as_json(body: Any) -> bytes:
    return json.dumps(body).encode()


def signed(body: bytes, *, key: bytes = KEY, at: str | None = None) -> Mapping[str, str]:
    """Sign as Standard Webhooks says."""
    at = str(int(NOW.timestamp())) if at is None else at
    mac = hmac.new(key, b"msg_1." + at.encode() + b"." + body, hashlib.sha256).digest()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def signed_by_easypost(body: bytes, secret: str = EASYPOST_SECRET) -> Mapping[str, str]:
    key = unicodedata.normalize("NFKD", secret).encode()
    mac = hmac.new(key, body, hashlib.sha256).hexdigest()
    return {"x-hmac-signature": f"hmac-sha256-hex={mac}"}
