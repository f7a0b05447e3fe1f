"""What an order's rules must know of its parcels, without knowing parcels.

Whoever decides on it asserts the version of the shipments' stream with the append: a dispatch
that is stored in between makes the decision void.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from domain.order.events import OrderLine


@dataclass(frozen=True, slots=True)
class Parcels:
    """The live parcels of one order: neither cancelled nor returned to the sender.

    Attributes:
        pieces: how many of each line are in them, by line number.
        dispatched: whether one has left, or was delivered. Only then its money is taken, so
            that where nothing is dispatched nothing is being captured.
    """

    pieces: Mapping[int, int]
    dispatched: bool

    def holds(self, line: OrderLine) -> int:
        """Pieces of a line that are in a live parcel."""
        return self.pieces.get(line.line_number, 0)


NO_PARCELS = Parcels(MappingProxyType({}), dispatched=False)
