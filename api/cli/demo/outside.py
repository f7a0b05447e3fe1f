"""The demo's world outside of Ordertrail: the customers' bank, and a carrier with webhooks.

Rule: what they say comes in as from anybody outside, over HTTP and under a signature.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import httpx

from api.cli.demo.again import insist

CARRIER = "DPD"
"""The carrier that tells of its scans by itself."""


class Outside:
    """Attributes: asked: payments that a customer confirmed; told: scans that a carrier sent."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """Take a client of the edge; the secrets are the environment's."""
        self._client = client
        self.asked = self.told = 0

    async def confirm(self, action_url: str) -> None:
        """Do what a customer does at this address; their bank has the provider tell us."""
        from infrastructure.payments.sandbox import open_sandbox

        database = os.environ["ORDERTRAIL_POSTGRES_URL"]
        secret = os.environ["ORDERTRAIL_PAYMENT_WEBHOOK_SECRET"]
        reference = action_url.rpartition("/")[2]
        async with open_sandbox(database, secret, pool_size=1) as sandbox:
            await sandbox.act(reference, approve=True)
            headers, body = sandbox.webhook("attempt", reference)
        await self._send("payments/sandbox", headers, body)
        self.asked += 1

    async def scan(self, tracking_number: str, scan: Mapping[str, Any]) -> None:
        """Tell of a parcel as a carrier does: by its own number."""
        from infrastructure.carriers.generic import signed_headers

        told = {"carrier": CARRIER, "tracking_number": tracking_number, "code": scan["status"]}
        body = json.dumps({"scans": [{**told, **scan}]}).encode()
        headers = signed_headers(os.environ["ORDERTRAIL_CARRIER_WEBHOOK_SECRET"], body)
        await self._send("carriers/generic", headers, body)
        self.told += 1

    async def _send(self, sender: str, headers: Mapping[str, str], body: bytes) -> None:
        path = f"/v1/webhooks/{sender}"
        answer = await insist(lambda: self._client.post(path, content=body, headers=headers))
        if answer.is_error:
            raise RuntimeError(f"POST {path}: {answer.status_code} {answer.text[:500]}")
