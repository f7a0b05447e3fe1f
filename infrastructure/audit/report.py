"""What a verification found: faults by name, how far the log is proven, what could not be checked.

Rule: nothing is called proven that was not checked, and what can't be checked is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

MOST_FAULTS = 20
PROVEN, FAULTY, NOT_CHECKED = 0, 1, 2
"""Exit codes."""

Id: TypeAlias = tuple[str, int]
"""An event's stream and version."""


class Kind(StrEnum):
    """What happened to an event, or to a seal."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    CHAIN = "chain broken"
    SEAL = "seal"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class Fault:
    """One finding. `position`: of the event or, for a seal, of the first that it covers."""

    kind: Kind
    what: str
    position: int | None = None
    stream: str | None = None
    version: int | None = None
    seal: int | None = None

    def __str__(self) -> str:
        where = [] if self.position is None else [f"position {self.position}"]
        if self.stream is not None:
            where.append(f"{self.stream} version {self.version}")
        if self.seal is not None:
            where.append(f"seal {self.seal}")
        return f"{', '.join(where)}: {self.kind}: {self.what}"


@dataclass
class Report:
    """What came out.

    Attributes:
        first_position, head: what was looked at, both within.
        proven_to: up to there, from `first_position` on, everything is as it was sealed.
        not_copied_yet: new seals that S3 does not have so far.
        stopped: there were more faults than anybody reads, and it was not read to the end.
    """

    first_position: int
    head: int
    proven_to: int
    events: int = 0
    seals: int = 0
    not_copied_yet: int = 0
    faults: list[Fault] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    stopped: bool = False

    def add(self, fault: Fault) -> None:
        """Keep a fault; once there are many, more of them say nothing new."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)
        else:
            self.stopped = True

    @property
    def exit_code(self) -> int:
        if self.faults:
            return FAULTY
        return NOT_CHECKED if self.unchecked else PROVEN

    def in_order(self) -> Sequence[Fault]:
        """Give the faults of events by position, then those of seals and copies."""
        late = (Kind.SEAL, Kind.COPY)
        return sorted(self.faults, key=lambda one: (one.kind in late, one.position or 0))

    def as_json(self) -> Mapping[str, Any]:
        return {
            "first_position": self.first_position,
            "head": self.head,
            "proven_to": self.proven_to,
            "events": self.events,
            "seals": self.seals,
            "not_copied_yet": self.not_copied_yet,
            "faults": [asdict(fault) for fault in self.in_order()],
            "unchecked": self.unchecked,
            "stopped": self.stopped,
            "exit_code": self.exit_code,
        }
