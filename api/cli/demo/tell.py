"""Plays the demo's story over HTTP, as a shop, its customers, its warehouse and a carrier would."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from api.cli.demo.again import insist
from api.cli.demo.outside import CARRIER, Outside
from api.cli.demo.story import Ending, Purchase, Story

Tell = Callable[[str], None]

AT_ONCE = 12
LOOK_EVERY_S = 0.1
SETTLED_WITHIN_S = 60.0
ON_THE_WAY = ("in_transit", "out_for_delivery")
STATIONS = {
    Ending.AFTER_AN_ATTEMPT: (*ON_THE_WAY, "attempted_delivery"),
    Ending.AFTER_AN_EXCEPTION: ("in_transit", "exception", "out_for_delivery"),
}
"""Where a parcel is scanned before it is delivered, where that is not ON_THE_WAY."""
CARRIERS = ("Royal Mail", CARRIER)
"""The scans of the first are entered by the warehouse."""
PAUSE_S = 0.6
"""Between two stations of a parcel, at speed 1."""
OVER = ("completed", "rejected", "expired", "cancelled")
LEDGER = """
SELECT order_id::text, sum(captured_minor)::bigint, sum(refunded_minor)::bigint
FROM sandbox.authorizations WHERE order_id = ANY(%s) GROUP BY order_id
"""


@dataclass(slots=True)
class Told:
    """What happened.

    Attributes:
        documents: each order as it is in the end, by its number.
        ledger: what the provider took and gave back, in minor units, by order.
        confirmed: payments that customers confirmed with their bank.
        scanned: scans that a carrier told by its signed webhook.
    """

    documents: dict[int, Any] = field(default_factory=dict)
    ledger: dict[str, tuple[int, int]] = field(default_factory=dict)
    confirmed: int = 0
    scanned: int = 0

    def statuses(self) -> Counter[str]:
        return Counter(one["status"] for one in self.documents.values())

    def money(self) -> tuple[int, int]:
        """Give what we say was taken and given back, in minor units."""
        paid = [one["payment"] for one in self.documents.values()]
        return (
            sum(one["captured_minor"] for one in paid),
            sum(one["refunded_minor"] for one in paid),
        )

    def differing(self) -> Sequence[str]:
        """Name the orders of which the provider's ledger says something else than we do."""
        return [
            one["order_id"]
            for one in self.documents.values()
            if (one["payment"]["captured_minor"], one["payment"]["refunded_minor"])
            != self.ledger.get(one["order_id"], (0, 0))
        ]

    def unsettled(self) -> Sequence[Any]:
        """Give the orders that something is still owed of."""
        return [one for one in self.documents.values() if not _is_settled(one)]

    def example(self, ending: Callable[[Any], bool]) -> str | None:
        return next((one["order_id"] for one in self.documents.values() if ending(one)), None)


class Teller:
    """Attributes: told: what happened so far."""

    def __init__(
        self, client: httpx.AsyncClient, token: Callable[[str, str], str], *, speed: float
    ) -> None:
        """Take who mints tokens; `speed` 2 plays twice as fast, 0 without a pause.

        One is minted for each request, as a slow story may outlast any.
        """
        self._client = client
        self._token = token
        self._outside = Outside(client)
        self._positions: dict[str, int] = {}
        self._pause_s = PAUSE_S / speed if speed > 0 else 0.0
        self.told = Told()

    @property
    def _merchant(self) -> Mapping[str, str]:
        return _bearer(self._token("merchant", "demo-warehouse"))

    @property
    def _support(self) -> Mapping[str, str]:
        return _bearer(self._token("support", "demo"))

    def _customer(self, purchase: Purchase) -> Mapping[str, str]:
        return _bearer(self._token("customer", purchase.customer))

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
        self.told.confirmed, self.told.scanned = self._outside.asked, self._outside.told
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
        customer = self._customer(purchase)
        lines = [{"sku": sku, "quantity": pieces} for sku, pieces in purchase.lines.items()]
        body = {
            "currency": "GBP",
            "lines": lines,
            "customer": {"name": f"Customer {purchase.customer[2:]}"},
            "shipping_address": {"city": "London", "country": "GB"},
            "payment_token": purchase.card,
        }
        placed = await self._post("/v1/orders", body, customer)
        order = placed["order_id"]
        document = await self._until(
            order, lambda one: one["status"] != "pending" or one["payment"]["action_url"]
        )
        if address := document["payment"]["action_url"]:
            await self._outside.confirm(address)
            document = await self._until(order, lambda one: one["status"] != "pending")
        self.told.documents[purchase.number] = document
        if document["status"] == "confirmed":
            await self._end(order, purchase)
        self.told.documents[purchase.number] = await self._until(order, _is_settled)

    async def _end(self, order: str, purchase: Purchase) -> None:
        if purchase.ending is Ending.CANCELLED:
            why = {"reason": "no more"}
            await self._post(f"/v1/orders/{order}/cancellations", why, self._customer(purchase))
            return
        lines = [{"sku": sku, "quantity": pieces} for sku, pieces in purchase.lines.items()]
        in_two = purchase.ending is Ending.IN_TWO_PARCELS
        for parcel in _in_two(lines) if in_two else [lines]:
            stations = STATIONS.get(purchase.ending, ON_THE_WAY)
            carrier = CARRIERS[purchase.number % len(CARRIERS)]
            await self._carry(order, parcel, stations, carrier)
        if purchase.ending is Ending.RETURNED:
            await self._return(order, lines[0], purchase)

    async def _carry(
        self, order: str, lines: Sequence[Any], stations: Sequence[str], carrier: str
    ) -> None:
        packed = await self._post(f"/v1/orders/{order}/shipments", {"lines": lines}, self._merchant)
        parcel = packed["shipment_id"]
        number = f"{carrier[:2].upper()}{parcel[-8:].upper()}"
        await self._rest()
        await self._post(
            f"/v1/shipments/{parcel}/dispatches",
            {"carrier": carrier, "tracking_number": number},
            self._merchant,
        )
        for status in [*stations, "delivered"]:
            await self._rest()
            scan = {"status": status, "scanned_at": _now(), "place": "London"}
            if carrier == CARRIER:
                await self._outside.scan(number, scan)
            else:
                await self._post(f"/v1/shipments/{parcel}/events", scan, self._merchant)

    async def _return(self, order: str, line: Any, purchase: Purchase) -> None:
        await self._until(order, lambda one: one["status"] == "completed")
        back = {"lines": [{**line, "quantity": 1}], "reason": "not what I wanted"}
        asked = await self._post(f"/v1/orders/{order}/returns", back, self._customer(purchase))
        name = asked["return_id"]
        await self._post(f"/v1/returns/{name}/approvals", {}, self._merchant)
        await self._rest()
        come = {"lines": [{**line, "quantity": 1, "restock": 1}]}
        await self._post(f"/v1/returns/{name}/receipts", come, self._merchant)

    async def _post(self, path: str, body: Any, headers: Mapping[str, str]) -> Any:
        named = {**headers, "Idempotency-Key": os.urandom(8).hex()}
        answer = await insist(lambda: self._client.post(path, json=body, headers=named))
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
            answer = await insist(
                lambda: self._client.get(path, params=since, headers=self._support)
            )
            if answer.is_error:
                raise RuntimeError(f"GET {path}: {answer.status_code} {answer.text[:500]}")
            return answer.json()

        for _ in range(int(SETTLED_WITHIN_S / LOOK_EVERY_S)):
            document = await look()
            if enough(document):
                return document
            await asyncio.sleep(LOOK_EVERY_S)
        return await look()

    async def _rest(self) -> None:
        await asyncio.sleep(self._pause_s)


def _in_two(lines: Sequence[Any]) -> Sequence[Sequence[Any]]:
    """Split what is ordered into two parcels, within a line where that has several pieces."""
    later = [{**line, "quantity": line["quantity"] // 2} for line in lines if line["quantity"] > 1]
    if later:
        first = [{**line, "quantity": (line["quantity"] + 1) // 2} for line in lines]
        return [first, later]
    return [lines[:1], lines[1:]] if len(lines) > 1 else [lines]


def _is_settled(document: Any) -> bool:
    """Whether nothing is owed any more, in money or in answers."""
    returns = [receipt for one in document["returns"] for receipt in one["receipts"]]
    return document["status"] in OVER and all(one["is_refunded"] for one in returns)


def _ledger(orders: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Ask the sandbox what it has taken and given back for each of these orders."""
    import psycopg

    with psycopg.connect(os.environ["ORDERTRAIL_POSTGRES_URL"]) as connection:
        rows = connection.execute(LEDGER, [list(orders)]).fetchall()
    return {order: (taken, back) for order, taken, back in rows}


def _bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
