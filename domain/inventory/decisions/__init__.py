"""The rules of stock: one verb per decision, (states, facts) -> events, or a DomainError.

What is decided for an order concerns several streams at once, and is stored in one append:
`Changes`. `shelf`: what people do with one item. `reserving`: what an order gets, and where.
`holding`: what becomes of what it got. `moving`: what leaves with parcels and comes back.
"""

from domain.inventory.decisions.changes import NOTHING, Changes
from domain.inventory.decisions.holding import commit, expire, release, release_unwanted
from domain.inventory.decisions.moving import require_there, restock, ship
from domain.inventory.decisions.reserving import WantedLine, reserve
from domain.inventory.decisions.shelf import adjust, list_item, receive

__all__ = [
    "NOTHING",
    "Changes",
    "WantedLine",
    "adjust",
    "commit",
    "expire",
    "list_item",
    "receive",
    "release",
    "release_unwanted",
    "require_there",
    "reserve",
    "restock",
    "ship",
]
