"""EasyPost's tracker webhooks: an Event whose `result` is a Tracker with all scans so far.

Sources: docs.easypost.com, "Tracker", "Event" and the webhooks guide. Signed by `X-Hmac-Signature:
hmac-sha256-hex=<hex>`, over the body, under the UTF-8 of the NFKD-normalized secret.
No timestamp is signed, and retries go on for days, so an old one can't be told: it is harmless,
for its scans are known already.

Left out on purpose: `signed_by` and `message` hold people's names. So `detail` is the words of
`status_detail`, and the proof of a delivery names the tracker that has the signature.
"""

import hmac
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from commands.shipment.carrier import CarrierScan
from domain.shipment.decisions import Scan
from domain.shipment.events import TrackingStatus
from domain.shipment.tracking_words import Vocabulary, translate
from infrastructure.carriers.reading import Printable, Spaced, Time, bad_signature, read

MOST_SCANS = 1_000
TRACKER_EVENTS = ("tracker.created", "tracker.updated")

_Word = Annotated[str, Field(min_length=1, max_length=200), Printable]
_Text = Annotated[str, Field(max_length=200), Spaced]


class _Place(BaseModel):
    city: _Text | None = None
    state: _Text | None = None
    country: _Text | None = None


class _Detail(BaseModel):
    status: _Text | None = None
    status_detail: _Text | None = None
    carrier_code: _Text | None = None
    occurred_at: Time = Field(alias="datetime")
    tracking_location: _Place | None = None


class _Tracker(BaseModel):
    id: _Word
    carrier: _Word
    tracking_code: _Word
    est_delivery_date: Time | None = None
    signed_by: _Text | None = None
    tracking_details: Annotated[list[_Detail], Field(max_length=MOST_SCANS)] = []


class _Kind(BaseModel):
    description: _Word


class _TrackerEvent(BaseModel):
    result: _Tracker


class EasyPostWebhooks:
    """Reads EasyPost's format."""

    name = "easypost"

    def __init__(self, secret: SecretStr) -> None:
        """Take the secret as it was given to EasyPost. Raises ValueError for none."""
        if not secret.get_secret_value():
            raise ValueError("without a secret anybody could sign")
        self._key = unicodedata.normalize("NFKD", secret.get_secret_value()).encode()

    def parse_webhook(
        self,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,  # noqa: ARG002 - of the port; no time is signed here
    ) -> tuple[CarrierScan, ...]:
        """Check who sent it, and read it; see the port."""
        right = f"hmac-sha256-hex={hmac.digest(self._key, body, 'sha256').hex()}"
        given = headers.get("x-hmac-signature", "")
        if not hmac.compare_digest(right.encode(), given.encode()):
            raise bad_signature()
        if read(_Kind, body).description not in TRACKER_EVENTS:
            return ()
        return _scans_of(read(_TrackerEvent, body).result)


def _scans_of(tracker: _Tracker) -> tuple[CarrierScan, ...]:
    """Give the scans as they occurred; the estimate is the newest's, for it is of the tracker."""
    details = sorted(tracker.tracking_details, key=lambda detail: detail.occurred_at)
    return tuple(
        CarrierScan(
            scan=_scan_of(tracker, detail, newest=number == len(details)),
            shipment_id=None,
            carrier=tracker.carrier.lower(),
            tracking_number=tracker.tracking_code,
        )
        for number, detail in enumerate(details, start=1)
    )


def _scan_of(tracker: _Tracker, detail: _Detail, *, newest: bool) -> Scan:
    word, finer = detail.status or "unknown", detail.status_detail or ""
    status = translate(Vocabulary.EASYPOST, word, finer)
    signed = status is TrackingStatus.DELIVERED and tracker.signed_by
    return Scan(
        status=status,
        code=".".join(part for part in (word, finer, detail.carrier_code) if part),
        scanned_at=detail.occurred_at,
        place=None if detail.tracking_location is None else _words(detail.tracking_location),
        detail=finer.replace("_", " ") or None,
        estimated_delivery=tracker.est_delivery_date if newest else None,
        proof=f"easypost {tracker.id}" if signed else None,
    )


def _words(place: _Place) -> str | None:
    return ", ".join(part for part in (place.city, place.state, place.country) if part) or None
