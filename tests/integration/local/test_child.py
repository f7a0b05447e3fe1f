"""What a child that keeps dying costs: ever longer pauses, counted, until it is well again."""

import asyncio
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infrastructure.local.child import Child, State
from infrastructure.local.program import Program

WRITES_THE_TIME_AND_DIES = "import sys, time; print(time.monotonic()); sys.exit(7)"


@dataclass(eq=False)
class Dying(Program):
    """It is ready at once, and dies at once."""

    name: str = "dying"
    port: int = 0

    def command(self) -> Sequence[str]:
        return [sys.executable, "-IS", "-c", WRITES_THE_TIME_AND_DIES]

    def ready(self) -> bool:
        return True


async def test_the_pause_before_a_restart_doubles(tmp_path: Path) -> None:
    log = tmp_path / "dying.log"
    states: list[State] = []
    enough = asyncio.Event()

    def changed() -> None:
        states.append(child.state)
        if child.restarts == 4:
            enough.set()

    child = Child(Dying(), log, changed)
    await child.start()
    await asyncio.wait_for(enough.wait(), 20)
    await child.stop()
    starts = [float(line) for line in log.read_text().split()]
    pauses = [after - before for before, after in itertools.pairwise(starts)]
    for pause, least in zip(pauses, (0.2, 0.4, 0.8), strict=True):
        assert least <= pause < least + 0.4
    assert child.last_end == "ended with exit code 7"
    assert State.BACKING_OFF in states
    assert (child.state, child.identity) == (State.STOPPED, None)
