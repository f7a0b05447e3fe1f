"""The port through which carriers tell of parcels: webhooks, each in its sender's own format.

Rule: nothing is believed before its signature is checked, and a repetition is harmless: a scan
is known by its parcel, code and time, so a webhook may come twice or out of order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.ids import ShipmentId
from domain.shipment.decisions import Scan


@dataclass(frozen=True, slots=True)
class CarrierScan:
    """A scan, and whose: either our own id of the parcel, or the carrier and its number.

    Attributes:
        carrier: in lower case; compare it so.
        tracking_number: carriers use it again, so of several parcels the one that was dispatched
            last is meant.
    """

    scan: Scan
    shipment_id: ShipmentId | None
    carrier: str | None
    tracking_number: str | None

    @property
    def parcel(self) -> tuple[ShipmentId | None, str | None, str | None]:
        """Give all that says which parcel it is of."""
        return self.shipment_id, self.carrier, self.tracking_number


class CarrierWebhooks(Protocol):
    """One sender's format. It does no I/O."""

    @property
    def name(self) -> str:
        """Give the last part of its URL, such as `easypost`."""

    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> tuple[CarrierScan, ...]:
        """Check who sent it, and read it; empty where it is about something else.

        Args:
            headers: names in lower case.
            body: as received: the signature is over these very bytes.
            now: aware.

        Raises:
            DomainError: `bad_signature`, `stale_webhook`, `unreadable_webhook`.
        """
