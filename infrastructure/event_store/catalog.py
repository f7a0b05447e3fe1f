"""The stable name of every event, and how old versions become new ones.

Rule: a name, once stored, means the same payload for ever. A changed payload gets a new
version, and one upcaster that leads there from the version before, dict to dict.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from domain.order.events import OrderCancelled, OrderEvent, OrderLinesCancelled, OrderPlaced

Upcaster: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]


class UnknownEventTypeError(Exception):
    """A stored name that this version's catalog lacks."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Names and classes of events.

    Attributes:
        current: stored name -> class, newest versions only.
        upcasters: older stored name -> (the next version's name, payload -> its payload).
    """

    current: Mapping[str, type[OrderEvent]]
    upcasters: Mapping[str, tuple[str, Upcaster]]

    def name_of(self, event_class: type[OrderEvent]) -> str:
        for name, known in self.current.items():
            if known is event_class:
                return name
        raise UnknownEventTypeError(event_class.__name__)

    def upcast(self, name: str, data: dict[str, Any]) -> tuple[type[OrderEvent], dict[str, Any]]:
        """Lead a payload to its newest version, one step at a time.

        Raises:
            UnknownEventTypeError: the name was never in this catalog.
        """
        while name in self.upcasters:
            name, step = self.upcasters[name]
            data = step(data)
        if name not in self.current:
            raise UnknownEventTypeError(name)
        return self.current[name], data


def _without_reason_code(data: dict[str, Any]) -> dict[str, Any]:
    """Lead a cancellation to version 2; before it there were only words, which can't be counted."""
    return {**data, "reason_code": "other"}


CATALOG = Catalog(
    current={
        "order.placed.v1": OrderPlaced,
        "order.lines_cancelled.v2": OrderLinesCancelled,
        "order.cancelled.v2": OrderCancelled,
    },
    upcasters={
        "order.lines_cancelled.v1": ("order.lines_cancelled.v2", _without_reason_code),
        "order.cancelled.v1": ("order.cancelled.v2", _without_reason_code),
    },
)
