"""What every aggregate has: a name, a state, and how its events fold into it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S")
E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Aggregate(Generic[S, E]):
    """How a stream is loaded.

    Attributes:
        name: such as `order.v1`. Snapshots are kept under it, so its number is raised with every
            change of the state's shape or of what `evolve` makes of an event.
        state: a frozen dataclass without personal data.
        evolve: fold one event; None is the state before the first.
    """

    name: str
    state: type[S]
    evolve: Callable[[S | None, E], S]

    def after(self, state: S | None, events: Iterable[E]) -> S | None:
        """Fold some more events."""
        for event in events:
            state = self.evolve(state, event)
        return state
