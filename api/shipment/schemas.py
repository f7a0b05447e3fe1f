"""The bodies of parcels. Shapes only."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.http.fields import Identifier64, Identifier128, Moment, Strict, Text200
from api.order.change_schemas import Lines
from api.order.documents import CommandAnswer
from commands.shipment.packing import Dispatch
from domain.shipment.decisions import Scan
from domain.shipment.events import TrackingStatus

_NO_SLASH = r"^[^/]+$"


class ShipmentBody(Strict):
    """Pieces that go into one parcel."""

    lines: Lines


class DispatchBody(Strict):
    """A carrier has it."""

    carrier: Annotated[Identifier64, Field(pattern=_NO_SLASH)]
    tracking_number: Annotated[Identifier64, Field(pattern=_NO_SLASH)] | None = None
    estimated_delivery: Moment | None = None

    def to_dispatch(self) -> Dispatch:
        return Dispatch(self.carrier, self.tracking_number, self.estimated_delivery)


class TrackingBody(Strict):
    """A scan. `code` and `scanned_at` tell it from the parcel's others."""

    status: Annotated[TrackingStatus, Field(strict=False)]
    scanned_at: Moment
    code: Annotated[Identifier128 | None, Field(description="The status, by default")] = None
    place: Annotated[Text200 | None, Field(description="A town, no address")] = None
    detail: Annotated[Text200 | None, Field(description="No names")] = None
    estimated_delivery: Moment | None = None
    proof: Annotated[Text200 | None, Field(description="Of a delivery: a reference")] = None

    def to_scan(self) -> Scan:
        return Scan(
            status=self.status,
            code=self.code or str(self.status),
            scanned_at=self.scanned_at,
            place=self.place,
            detail=self.detail,
            estimated_delivery=self.estimated_delivery,
            proof=self.proof,
        )


class ShipmentAnswer(CommandAnswer):
    """The order after it, and which parcel."""

    shipment_id: UUID
