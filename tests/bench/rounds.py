"""Measure contenders turn by turn: whatever else the machine does, it does to all of them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Contender: TypeAlias = Callable[[float], float]
"""Runs for about so many seconds and gives its figure, such as operations a second."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: times that each contender is measured.
        seconds: of one measurement.
        long: whether the rows that take minutes are wanted at full length.
        scale: share of the long rows' events and orders to make, 1.0 for all.
    """

    rounds: int = 5
    seconds: float = 1.5
    long: bool = False
    scale: float = 1.0


def interleave(
    contenders: Mapping[str, Contender], effort: Effort
) -> Mapping[str, Sequence[float]]:
    """Measure all contenders once per round, each round beginning with another one.

    A first, shorter turn of each is thrown away: caches, plans and connections are then warm.
    """
    for contender in contenders.values():
        contender(effort.seconds / 4)
    measured: dict[str, list[float]] = defaultdict(list)
    order = list(contenders)
    for _ in range(effort.rounds):
        for name in order:
            measured[name].append(contenders[name](effort.seconds))
        order = [*order[1:], order[0]]
    return {name: measured[name] for name in contenders}
