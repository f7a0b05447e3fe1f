"""The real year: what its customers bought, and what a seed adds that the file doesn't say.

Of the file: customers, lines, prices, postage, and what was taken back of which order. Drawn: the
card, the parcels, and whether the goods had come in. The same seed and share give the same year.
"""

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TypeVar

from api.importing.grouping import Order, orders
from api.importing.matching import Cancellation, cancellations, match, note_sold
from api.importing.reading import OrderFile
from api.importing.rows import parse_row
from api.importing.spill import Spill
from domain.order.state import OrderStatus

T = TypeVar("T")

YEAR = Path(
    os.environ.get("ORDERTRAIL_YEAR")
    or Path(__file__).parents[3] / "shared" / "data" / "online_retail" / "sample.csv"
)
"""Lines of "Online Retail" over a whole year; not part of this repository (README, License)."""
CALLED_OFF_WITHIN = timedelta(days=1)
"""What is taken back sooner never left the shop; later it had been delivered, and came back."""


@dataclass(frozen=True, slots=True)
class Card:
    """A test token of the sandbox.

    Attributes:
        confirms: whether the customer does, where their bank asks them.
        ends: the order, if all else goes well.
    """

    token: str
    confirms: bool = True
    ends: OrderStatus = OrderStatus.COMPLETED


GOOD = Card("tok_visa")
CARDS = (
    *[GOOD] * 40,
    *[Card("tok_authenticationRequired")] * 2,
    Card("tok_authenticationRequired", confirms=False, ends=OrderStatus.EXPIRED),
    *[Card("tok_timeoutAfterCharging")] * 2,
    *[Card("tok_chargeDeclined", ends=OrderStatus.REJECTED)] * 2,
    *[Card("tok_chargeDeclinedInsufficientFunds", ends=OrderStatus.REJECTED)] * 2,
    Card("tok_chargeDeclinedExpiredCard", ends=OrderStatus.REJECTED),
)


class Packing(StrEnum):
    """How an order becomes parcels."""

    ONE_PARCEL = "one_parcel"
    A_PARCEL_PER_LINE = "a_parcel_per_line"
    HALF_OF_EACH_LINE = "half_of_each_line"


PACKINGS = (
    *[Packing.ONE_PARCEL] * 7,
    *[Packing.A_PARCEL_PER_LINE] * 2,
    *[Packing.HALF_OF_EACH_LINE] * 2,
)


class Supply(StrEnum):
    """Whether an order's goods come in before it is placed; else it finds what others left."""

    IN_TIME = "in_time"
    FORGOTTEN = "forgotten"


SUPPLIES = (*[Supply.IN_TIME] * 49, Supply.FORGOTTEN)


@dataclass(frozen=True, slots=True)
class Sale:
    """One invoice of the year.

    Attributes:
        called_off: what is canceled before a parcel leaves.
        brought_back: what comes back after it was delivered.
    """

    order: Order
    card: Card
    packing: Packing
    supply: Supply
    called_off: Sequence[Cancellation]
    brought_back: Sequence[Cancellation]

    def parcels(self) -> Sequence[Mapping[int, int]]:
        """Give the pieces of each parcel by line number, without what was called off."""
        left = {number: line.quantity for number, line in enumerate(self.order.lines, start=1)}
        for one in self.called_off:
            for (_, number), pieces in one.quantities.items():
                left[number] -= pieces
        left = {number: pieces for number, pieces in left.items() if pieces}
        if not left:
            return []
        match self.packing:
            case Packing.ONE_PARCEL:
                return [left]
            case Packing.A_PARCEL_PER_LINE:
                return [{number: pieces} for number, pieces in left.items()]
            case Packing.HALF_OF_EACH_LINE:
                first = {number: (pieces + 1) // 2 for number, pieces in left.items()}
                rest = {number: pieces // 2 for number, pieces in left.items() if pieces > 1}
                return [first, rest] if rest else [first]


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the year: the middle one of every so many orders.

    Attributes:
        taken_back: of the orders of which something is taken back; `plain`: of the others.
    """

    plain: int = 1
    taken_back: int = 1


def read_year(path: Path, seed: str, share: Share) -> Sequence[Sale]:
    """Read the sales, the earliest first. Raises NotAnOrderFileError."""
    with OrderFile(path) as file, Spill() as spill:
        for record in file.records():
            spill.add(record, parse_row(record))
        spill.group()
        sold = list(orders(spill))
        for order in sold:
            note_sold(spill, order, order.invoice)
        match(spill)
        back = {one[0].order_invoice: one for one in cancellations(spill)}
    chosen = _choose(sold, back, share)
    draw, count = random.Random(seed), len(chosen)
    drawn = zip(
        chosen,
        _dealt(draw, CARDS, count),
        _dealt(draw, PACKINGS, count),
        _dealt(draw, SUPPLIES, count),
        strict=True,
    )
    return [
        _sale(order, back.get(order.invoice, ()), card, packing, supply)
        for order, card, packing, supply in drawn
    ]


def _choose(
    sold: Sequence[Order], back: Mapping[str, Sequence[Cancellation]], share: Share
) -> Sequence[Order]:
    def delay(order: Order) -> timedelta:
        return _delay(order, back[order.invoice][0])

    plain = [order for order in sold if order.invoice not in back]
    taken_back = sorted((order for order in sold if order.invoice in back), key=delay)
    chosen = {order.invoice for order in plain[share.plain // 2 :: share.plain]}
    chosen |= {one.invoice for one in taken_back[share.taken_back // 2 :: share.taken_back]}
    return [order for order in sold if order.invoice in chosen]


def _sale(
    order: Order, back: Sequence[Cancellation], card: Card, packing: Packing, supply: Supply
) -> Sale:
    # Of what came back it is known that it had been paid and there.
    return Sale(
        order,
        GOOD if back else card,
        packing,
        Supply.IN_TIME if back else supply,
        [one for one in back if _delay(order, one) < CALLED_OFF_WITHIN],
        [one for one in back if _delay(order, one) >= CALLED_OFF_WITHIN],
    )


def _delay(order: Order, back: Cancellation) -> timedelta:
    at = datetime.fromisoformat(back.cancelled_at)
    return at - datetime.fromisoformat(order.placed_at)


def _dealt(draw: random.Random, deck: Sequence[T], count: int) -> Sequence[T]:
    """Deal so many, one shuffled deck after the other: a deck's length has each thing in it."""
    decks = (draw.sample(deck, len(deck)) for _ in range(0, count, len(deck)))
    return list(chain.from_iterable(decks))[:count]
