"""The rules of parcels: one verb per decision, (states, facts) -> events, or a DomainError.

`packing`: what people do with a parcel before it leaves. `tracking`: what carriers tell after.
"""

from domain.shipment.decisions.packing import MOST_SHIPMENTS, cancel, create, dispatch
from domain.shipment.decisions.tracking import MOST_SCANS, Scan, change_estimate, record_scan

__all__ = [
    "MOST_SCANS",
    "MOST_SHIPMENTS",
    "Scan",
    "cancel",
    "change_estimate",
    "create",
    "dispatch",
    "record_scan",
]
