"""The paths of the whole origin, whichever app serves them, for `405` and `Allow`."""

from collections.abc import Mapping

READS = "GET, HEAD"

RESOURCES: Mapping[str, str] = {
    "/v1/orders": "GET, HEAD, POST",
    "/v1/orders/{order_id}": READS,
    "/v1/orders/{order_id}/cancellations": "POST",
    "/v1/orders/{order_id}/history": READS,
    "/v1/orders/{order_id}/holds": "POST",
    "/v1/orders/{order_id}/hold-releases": "POST",
    "/v1/orders/{order_id}/address-changes": "POST",
    "/v1/orders/{order_id}/revisions": "POST",
    "/v1/orders/{order_id}/shipments": "POST",
    "/v1/orders/{order_id}/returns": "POST",
    "/v1/shipments/{shipment_id}/dispatches": "POST",
    "/v1/shipments/{shipment_id}/events": "POST",
    "/v1/shipments/{shipment_id}/cancellations": "POST",
    "/v1/returns/{return_id}/approvals": "POST",
    "/v1/returns/{return_id}/receipts": "POST",
    "/v1/returns/{return_id}/cancellations": "POST",
    "/v1/payments/{order_id}/refunds": "POST",
    "/v1/webhooks/payments/{provider}": "POST",
    "/v1/webhooks/carriers/{carrier}": "POST",
    "/v1/stock-items": "POST",
    "/v1/stock-items/{sku:path}/receipts": "POST",
    "/v1/stock-items/{sku:path}/adjustments": "POST",
    "/v1/stock-items/{sku:path}": READS,
    "/healthz": READS,
    "/readyz": READS,
    "/metrics": READS,
    "/docs": READS,
    "/docs/{asset}": READS,
    "/openapi/commands.json": READS,
    "/openapi/queries.json": READS,
}
