"""The paths of the whole origin, whichever app serves them, for `405` and `Allow`."""

from collections.abc import Mapping

READS = "GET, HEAD"

RESOURCES: Mapping[str, str] = {
    "/v1/orders": "GET, HEAD, POST",
    "/v1/orders/{order_id}": READS,
    "/v1/orders/{order_id}/cancellations": "POST",
    "/v1/orders/{order_id}/history": READS,
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
