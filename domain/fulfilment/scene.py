"""What one look at an order shows, and what a rule of the saga makes of it."""

from dataclasses import dataclass
from datetime import datetime

from domain.fulfilment.events import FulfilmentEvent
from domain.fulfilment.facts import Facts
from domain.fulfilment.state import Fulfilment
from domain.fulfilment.timing import Timing
from domain.order.events import OrderEvent
from domain.order.state import Order


@dataclass(frozen=True, slots=True)
class Scene:
    """Attributes: now: by the clock of who looks; only due times are counted from it."""

    order: Order
    saga: Fulfilment
    facts: Facts
    now: datetime
    timing: Timing


@dataclass(frozen=True, slots=True)
class Changes:
    """Events for the saga's own stream and for the order's."""

    fulfilment: tuple[FulfilmentEvent, ...] = ()
    order: tuple[OrderEvent, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fulfilment or self.order)


NOTHING = Changes()
