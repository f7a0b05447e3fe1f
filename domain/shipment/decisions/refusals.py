"""How the rules of parcels say no: the parcel that isn't there, the step that isn't legal."""

from domain.errors import DomainError
from domain.ids import ShipmentId
from domain.shipment.state import Shipment, Shipments


def find_shipment(
    shipments: Shipments | None, shipment_id: ShipmentId
) -> tuple[Shipments, Shipment]:
    """Find a parcel among those of its order. Raises DomainError: `unknown_shipment`."""
    found = None if shipments is None else shipments.find(shipment_id)
    if shipments is None or found is None:
        raise DomainError("unknown_shipment", "the order has no such parcel")
    return shipments, found


def require(legal: bool, shipment: Shipment) -> None:  # noqa: FBT001
    if not legal:
        raise DomainError(
            "illegal_transition",
            f"the parcel is {shipment.status}",
            extra={"shipment_status": str(shipment.status)},
        )
