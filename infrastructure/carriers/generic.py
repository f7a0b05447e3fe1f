"""Our own webhook format, for carriers and shops that have none or can choose.

Signed as Standard Webhooks 1.0.0 says (standardwebhooks.com): `webhook-signature` holds
space-separated `v1,<base64>` entries, one of which is the HMAC-SHA256 of `id.timestamp.body`
under the secret, where id and timestamp (Unix seconds) are the other two headers. The library of
that name reads the clock by itself, and these are twenty lines.

The body, with times in RFC 3339:

    {"vocabulary": "aftership",                    optional: whose words the statuses are
     "scans": [{"shipment_id": "0199...",          either this
                "carrier": "dhl",                  or these two
                "tracking_number": "00340434...",
                "status": "InTransit",             one of TrackingStatus without a vocabulary
                "substatus": "InTransit_003",      optional, of a vocabulary
                "code": "DEP-42",                  the carrier's word; with the time, its identity
                "scanned_at": "2026-03-01T09:30:00Z",
                "place": "Leipzig, DE",            optional: no address
                "detail": "departed",              optional: no names
                "estimated_delivery": "2026-03-03T18:00:00Z",    optional
                "proof": "signature 4711"}]}       optional: a reference, of a delivery
"""

import base64
import binascii
import hmac
import secrets
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from commands.shipment.carrier import CarrierScan
from domain.ids import ShipmentId
from domain.shipment.decisions import Scan
from domain.shipment.events import TrackingStatus
from domain.shipment.tracking_words import Vocabulary, translate
from infrastructure.carriers.reading import Printable, Time, bad_signature, read, stale_webhook

TOLERANCE_S = 300
"""How far a timestamp may be from now, either way: as Standard Webhooks' libraries have it."""
LEAST_KEY_BYTES = 24
MOST_SCANS = 500
MOST_DIGITS = 12
"""Of a timestamp: until the year 33658."""

_Word = Annotated[str, Field(min_length=1, max_length=100), Printable]
_Words = Annotated[str, Field(min_length=1, max_length=500), Printable]


class _Scan(BaseModel):
    model_config = ConfigDict(extra="forbid")

    shipment_id: UUID | None = None
    carrier: _Word | None = None
    tracking_number: _Word | None = None
    status: _Word
    substatus: _Word = ""
    code: _Word
    scanned_at: Time
    place: _Words | None = None
    detail: _Words | None = None
    estimated_delivery: Time | None = None
    proof: _Words | None = None

    @model_validator(mode="after")
    def _names_a_parcel(self) -> Self:
        if self.shipment_id is None and (self.carrier is None or self.tracking_number is None):
            raise ValueError("name shipment_id, or carrier and tracking_number")
        return self


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    vocabulary: Vocabulary | None = None
    scans: Annotated[list[_Scan], Field(min_length=1, max_length=MOST_SCANS)]

    @model_validator(mode="after")
    def _speaks_our_words(self) -> Self:
        if self.vocabulary is None:
            for number, scan in enumerate(self.scans):
                if scan.status not in set(TrackingStatus):
                    raise ValueError(f"the status of scan {number} is none of ours")
        return self


class GenericWebhooks:
    """Reads our own format."""

    name = "generic"

    def __init__(self, secret: SecretStr) -> None:
        """Take `whsec_<base64>` of 24 bytes or more. Raises ValueError where it isn't that."""
        self._key = _key(secret.get_secret_value())

    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> tuple[CarrierScan, ...]:
        """Check who sent it, and read it; see the port."""
        self._check(headers, body, now)
        said = read(_Body, body)
        return tuple(_to_scan(scan, said.vocabulary) for scan in said.scans)

    def _check(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        signed_at = headers.get("webhook-timestamp", "")
        right = _digest(self._key, headers.get("webhook-id", ""), signed_at, body)
        entries = headers.get("webhook-signature", "").split(" ")
        if not any(hmac.compare_digest(right, _signature(entry)) for entry in entries):
            raise bad_signature()
        readable = signed_at.isdecimal() and len(signed_at) <= MOST_DIGITS
        if not readable or abs(now.timestamp() - int(signed_at)) > TOLERANCE_S:
            raise stale_webhook()


def signed_headers(secret: str, body: bytes) -> Mapping[str, str]:
    """Sign a body as its sender does, now. Raises ValueError for what is no such secret."""
    name, at = f"msg_{secrets.token_hex(12)}", str(int(time.time()))
    signature = base64.b64encode(_digest(_key(secret), name, at, body)).decode()
    return {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{signature}",
    }


def _key(secret: str) -> bytes:
    prefix, _, encoded = secret.partition("_")
    key = base64.b64decode(encoded, validate=True)
    if prefix != "whsec" or len(key) < LEAST_KEY_BYTES:
        raise ValueError(f"a webhook secret is whsec_<base64 of {LEAST_KEY_BYTES} bytes or more>")
    return key


def _digest(key: bytes, name: str, signed_at: str, body: bytes) -> bytes:
    return hmac.digest(key, f"{name}.{signed_at}.".encode() + body, "sha256")


def _signature(entry: str) -> bytes:
    """Take an entry apart; empty, which fits nothing, where it is of another version or broken."""
    version, _, encoded = entry.partition(",")
    try:
        return base64.b64decode(encoded, validate=True) if version == "v1" else b""
    except (binascii.Error, ValueError):
        return b""


def _to_scan(said: _Scan, vocabulary: Vocabulary | None) -> CarrierScan:
    status = (
        TrackingStatus(said.status)
        if vocabulary is None
        else translate(vocabulary, said.status, said.substatus)
    )
    return CarrierScan(
        scan=Scan(
            status=status,
            code=said.code,
            scanned_at=said.scanned_at,
            place=said.place,
            detail=said.detail,
            estimated_delivery=said.estimated_delivery,
            proof=said.proof,
        ),
        shipment_id=None if said.shipment_id is None else ShipmentId(said.shipment_id),
        carrier=None if said.carrier is None else said.carrier.lower(),
        tracking_number=said.tracking_number,
    )
