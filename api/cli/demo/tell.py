"""Plays the demo's story over HTTP, as a shop, its customers, its warehouse and a carrier would."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from api.cli.demo.story import Ending, Purchase, Story

Tell = Callable[[str], None]

AT_ONCE = 12
LOOK_EVERY_S = 0.1
SECURED_WITHIN_S = 60.0
SETTLED_WITHIN_S = 60.0
PAUSE_S = 0.6
"""Between two stations of a parcel, at speed 1."""
OVER = ("completed", "rejected", "expired", "cancelled")
LEDGER = """
SELECT coalesce(sum(captured_minor), 0)::bigint, coalesce(sum(refunded_minor), 0)::bigint
FROM sandbox.authorizations WHERE order_id = ANY(%s)
"""


@dataclass(slots=True)
class Told:
    """What happened. Attributes: documents: each order as it is in the end, by its number."""

    documents: dict[int, Any] = field(default_factory=dict)
    ledger: tuple[int, int] = (0, 0)

    def statuses(self) -> Counter[str]:
        return Counter(one["status"] for one in self.documents.values())

    def money(self) -> tuple[int, int]:
        """Give what we say was taken and given back, in minor units."""
        paid = [one["payment"] for one in self.documents.values()]
        return (
            sum(one["captured_minor"] for one in paid),
            sum(one["refunded_minor"] for one in paid),
        )

    def example(self, ending: Callable[[Any], bool]) -> str | None:
        return next((one["order_id"] for one in self.documents.values() if ending(one)), None)


class Teller:
    """Attributes: told: what happened so far."""

    def __init__(
        self, client: httpx.AsyncClient, token: Callable[[str, str], str], *, speed: float
    ) -> None:
        """Take who mints tokens; `speed` 2 plays twice as fast, 0 without a pause."""
        self._client = client
        self._token = token
        self._merchant = _bearer(token("merchant", "demo-warehouse"))
        self._support = _bearer(token("support", "demo"))
        self._positions: dict[str, int] = {}
        self._pause_s = PAUSE_S / speed if speed > 0 else 0.0
        self.told = Told()

    async def play(self, story: Story, progress: Callable[[Counter[str]], None]) -> Told:
        """Play it to its end; `progress` is shown how many orders are in which status."""
        for ware in story.wares:
            await self._list(ware.sku, ware.name, ware.unit_price_minor, ware.pieces)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(purchase: Purchase) -> None:
            async with gate:
                await self._live(purchase)
                progress(self.told.statuses())

        await asyncio.gather(*map(one, story.purchases))
        self.told.ledger = await asyncio.to_thread(
            _ledger, [document["order_id"] for document in self.told.documents.values()]
        )
        return self.told

    async def _list(self, sku: str, name: str, price_minor: int, pieces: int) -> None:
        body = {"sku": sku, "name": name, "unit_price_minor": price_minor, "currency": "GBP"}
        answer = await self._post("/v1/stock-items", body, self._merchant)
        missing = pieces - int(answer["available"])
        if missing > 0:  # what an earlier story left is topped up
            await self._post(
                f"/v1/stock-items/{sku}/receipts", {"quantity": missing}, self._merchant
            )

    async def _live(self, purchase: Purchase) -> None:
        customer = _bearer(self._token("customer", purchase.customer))
        lines = [{"sku": sku, "quantity": pieces} for sku, pieces in purchase.lines.items()]
        body = {
            "currency": "GBP",
            "lines": lines,
            "customer": {"name": f"Customer {purchase.customer[2:]}"},
            "shipping_address": {"city": "London", "country": "GB"},
            "payment_token": purchase.card,
        }
        name = os.urandom(8).hex()
        placed = await self._post("/v1/orders", body, {**customer, "Idempotency-Key": name})
        order = placed["order_id"]
        document = await self._until(order, lambda one: one["status"] != "pending")
        self.told.documents[purchase.number] = document
        if document["status"] == "confirmed":
            await self._end(order, purchase, customer)
        self.told.documents[purchase.number] = await self._until(order, _is_settled)

    async def _end(self, order: str, purchase: Purchase, customer: Mapping[str, str]) -> None:
        if purchase.ending is Ending.CANCELLED:
            await self._post(f"/v1/orders/{order}/cancellations", {"reason": "no more"}, customer)
            return
        lines = [{"sku": sku, "quantity": pieces} for sku, pieces in purchase.lines.items()]
        in_two = purchase.ending is Ending.IN_TWO_PARCELS and len(lines) > 1
        for parcel in [lines[:1], lines[1:]] if in_two else [lines]:
            await self._carry(order, parcel, attempt=purchase.ending is Ending.AFTER_AN_ATTEMPT)
        if purchase.ending is Ending.RETURNED:
            await self._return(order, lines[0], customer)

    async def _carry(self, order: str, lines: Sequence[Any], *, attempt: bool) -> None:
        packed = await self._post(f"/v1/orders/{order}/shipments", {"lines": lines}, self._merchant)
        parcel = packed["shipment_id"]
        await self._rest()
        await self._post(
            f"/v1/shipments/{parcel}/dispatches",
            {"carrier": "Royal Mail", "tracking_number": f"RM{parcel[-8:].upper()}"},
            self._merchant,
        )
        stations = ["in_transit", "out_for_delivery", *(["attempted_delivery"] * attempt)]
        for status in [*stations, "delivered"]:
            await self._rest()
            scan = {"status": status, "scanned_at": _now(), "place": "London"}
            await self._post(f"/v1/shipments/{parcel}/events", scan, self._merchant)

    async def _return(self, order: str, line: Any, customer: Mapping[str, str]) -> None:
        await self._until(order, lambda one: one["status"] == "completed")
        back = {"lines": [{**line, "quantity": 1}], "reason": "not what I wanted"}
        asked = await self._post(f"/v1/orders/{order}/returns", back, customer)
        name = asked["return_id"]
        await self._post(f"/v1/returns/{name}/approvals", {}, self._merchant)
        await self._rest()
        come = {"lines": [{**line, "quantity": 1, "restock": 1}]}
        await self._post(f"/v1/returns/{name}/receipts", come, self._merchant)

    async def _post(self, path: str, body: Any, headers: Mapping[str, str]) -> Any:
        answer = await self._client.post(path, json=body, headers=headers)
        if answer.is_error:
            raise RuntimeError(f"POST {path}: {answer.status_code} {answer.text[:500]}")
        done = answer.json()
        if "order_id" in done:
            self._positions[done["order_id"]] = done["position"]
        return done

    async def _until(self, order: str, enough: Callable[[Any], bool]) -> Any:
        """Look at an order until it has come so far; give it as it is then, or after a minute."""

        async def look() -> Any:
            # As of what was done to it last: an older view might look settled.
            since = {"min_position": self._positions[order]}
            path = f"/v1/orders/{order}"
            answer = await self._client.get(path, params=since, headers=self._support)
            return answer.json()

        for _ in range(int(SETTLED_WITHIN_S / LOOK_EVERY_S)):
            document = await look()
            if enough(document):
                return document
            await asyncio.sleep(LOOK_EVERY_S)
        return await look()

    async def _rest(self) -> None:
        await asyncio.sleep(self._pause_s)


def _is_settled(document: Any) -> bool:
    """Whether nothing is owed any more, in money or in answers."""
    returns = [receipt for one in document["returns"] for receipt in one["receipts"]]
    return document["status"] in OVER and all(one["is_refunded"] for one in returns)


def _ledger(orders: Sequence[str]) -> tuple[int, int]:
    """Ask the sandbox what it has taken and given back for these orders."""
    import psycopg

    with psycopg.connect(os.environ["ORDERTRAIL_POSTGRES_URL"]) as connection:
        row = connection.execute(LEDGER, [list(orders)]).fetchone()
    if row is None:
        raise AssertionError("a sum is one row")
    return int(row[0]), int(row[1])


def _bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
