"""The demo's story, written before it is played: who orders what, with which card, and how it ends.

Rules: the same seed gives the same story (what is drawn is drawn here; the clock is not asked);
a story that is long enough has each kind of card and each ending at least once.
"""

import csv
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

MOST_SKUS = 40
MOST_LINES = 3
LARGEST_QUANTITY = 4
PIECES = 60
SHORT_PIECES = 3
SHORT_EVERY = 20
"""Of one sku in twenty so few are there that not everybody gets some."""
CARDS = (
    ("tok_visa", 30),
    # Declines that are final: with others the saga asks again a minute later, and once more.
    ("tok_chargeDeclinedExpiredCard", 2),
    ("tok_chargeDeclinedFraudulent", 1),
    ("tok_authenticationRequired", 2),
    ("tok_timeoutAfterCharging", 2),
    ("tok_slow", 1),
)


class Ending(StrEnum):
    """What becomes of an order, if its money and its stock are secured."""

    DELIVERED = "delivered"
    IN_TWO_PARCELS = "in_two_parcels"
    AFTER_AN_ATTEMPT = "after_an_attempt"
    AFTER_AN_EXCEPTION = "after_an_exception"
    CANCELLED = "cancelled"
    RETURNED = "returned"


ENDINGS = (
    (Ending.DELIVERED, 10),
    (Ending.IN_TWO_PARCELS, 4),
    (Ending.AFTER_AN_ATTEMPT, 2),
    (Ending.AFTER_AN_EXCEPTION, 1),
    (Ending.CANCELLED, 2),
    (Ending.RETURNED, 3),
)


@dataclass(frozen=True, slots=True)
class Ware:
    """Attributes: pieces: how many the merchant lists."""

    sku: str
    name: str
    unit_price_minor: int
    pieces: int


@dataclass(frozen=True, slots=True)
class Purchase:
    """One customer's order. Attributes: lines: pieces by sku."""

    number: int
    customer: str
    lines: Mapping[str, int]
    card: str
    ending: Ending


@dataclass(frozen=True, slots=True)
class Story:
    wares: Sequence[Ware]
    purchases: Sequence[Purchase]


def write_story(seed: int, orders: int, sales: Path) -> Story:
    """Draw so many orders of the customers and wares of a file of real sales."""
    draw = random.Random(seed)  # noqa: S311 - a story, no secret
    wares, customers = _read(sales)
    chosen = draw.sample(wares, min(MOST_SKUS, len(wares)))
    stocked = [
        Ware(sku, name, price, SHORT_PIECES if number % SHORT_EVERY == 0 else PIECES)
        for number, (sku, name, price) in enumerate(chosen)
    ]
    dealt = zip(_dealt(draw, CARDS, orders), _dealt(draw, ENDINGS, orders), strict=True)
    purchases = [
        _purchase(number, draw, stocked, customers, card=card, ending=ending)
        for number, (card, ending) in enumerate(dealt)
    ]
    return Story(stocked, purchases)


def _purchase(
    number: int,
    draw: random.Random,
    wares: Sequence[Ware],
    customers: Sequence[str],
    *,
    card: str,
    ending: Ending,
) -> Purchase:
    picked = draw.sample(wares, draw.randint(1, MOST_LINES))
    return Purchase(
        number,
        f"c-{draw.choice(customers)}",
        {ware.sku: draw.randint(1, LARGEST_QUANTITY) for ware in picked},
        card,
        ending,
    )


def _dealt(draw: random.Random, weighted: Sequence[tuple[T, int]], count: int) -> Sequence[T]:
    """Give each thing once, as far as the count allows, and the rest by weight; then shuffle."""
    things = [thing for thing, _ in weighted]
    dealt = things[:count]
    dealt += draw.choices(things, [weight for _, weight in weighted], k=count - len(dealt))
    draw.shuffle(dealt)
    return dealt


def _read(sales: Path) -> tuple[Sequence[tuple[str, str, int]], Sequence[str]]:
    """Give the wares with their prices in pence, and the customers, each once, as they come."""
    wares: dict[str, tuple[str, str, int]] = {}
    customers: dict[str, None] = {}
    with sales.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            pence = round(float(row["UnitPrice"]) * 100)
            if row["StockCode"][:5].isdigit() and row["Description"] and pence > 0:
                sku, name = row["StockCode"], row["Description"].strip().capitalize()
                wares.setdefault(sku, (sku, name, pence))
            if row["CustomerID"]:
                customers[row["CustomerID"]] = None
    return list(wares.values()), list(customers)
