"""A rebuild from its plan to its flip: build, catch up, hand over, check, compare, flip.

Rules: nothing that readers see changes before the flip; nothing is flipped that differs from the
log; and each stage can be begun again wherever the one before was killed.
"""

from dataclasses import dataclass
from typing import Any

from infrastructure.rebuild import lifecycle
from infrastructure.rebuild.catch_up import StalledError, Tell, await_head, catch_up, hand_over
from infrastructure.rebuild.check import NOTHING_CHECKED, Beside, Checked
from infrastructure.rebuild.differences import NOTHING, Findings
from infrastructure.rebuild.fill import DONE
from infrastructure.rebuild.log import OrderLog, Range, opened, ranges
from infrastructure.rebuild.parts import Parts, outlasting_redis
from infrastructure.rebuild.workers import Workers
from infrastructure.redis import shard_keys
from infrastructure.redis.generations import Generations, Plan
from infrastructure.redis.shard import Step

BUILD_ROUNDS = 10


class WrongError(Exception):
    """A generation is not what the log says. `found`: what is wrong with it."""

    def __init__(self, generation: int, found: Findings) -> None:
        super().__init__(f"generation {generation} differs from the log in {found.count} places")
        self.found = found


class ChangedError(Exception):
    """The next generation is right and shows orders otherwise than the live one.

    Attributes: found: what; version, live_version: of their projections, None where not known.
    """

    def __init__(self, plan: Plan, live_version: int | None, found: Findings) -> None:
        super().__init__(f"generation {plan.generation} shows {found.count} orders otherwise")
        self.found = found
        self.version, self.live_version = plan.projection_version, live_version


@dataclass(frozen=True, slots=True)
class Report:
    """Attributes: generation: that is read now; peak_kb: the most memory of a worker."""

    generation: int
    checked: Checked
    peak_kb: int


class Rebuild:
    """One run, from the beginning or from where another one was ended."""

    def __init__(self, parts: Parts, workers: Workers, tell: Tell) -> None:
        self._parts = parts
        self._workers = workers
        self._tell = tell
        self._generations = Generations(parts.client, parts.partitions)
        self._peak_kb = 0

    def run(self, *, resume: bool, accept: bool) -> Report:
        """Build the next generation and flip to it.

        Raises:
            WrongError, ChangedError: it was built, and is kept for `resume`; nothing was flipped.
            RefusedError, RebuildRunsError, StalledError, LedgerMovedError: as they say.
            UnavailableError, psycopg.OperationalError, redis.RedisError: `resume` goes on.
        """
        with opened(self._parts.connect) as log:
            log.lock()
            generations = self._generations
            plan = lifecycle.resumed(generations) if resume else lifecycle.begin(generations, log)
            if generations.live() == plan.generation:
                lifecycle.flip(generations, plan)
                return Report(plan.generation, NOTHING_CHECKED, 0)
            if plan.stage == "build":
                self.build(plan)
                plan = lifecycle.advance(generations, plan, "hand over")
            if plan.stage == "hand over":
                self.hand_over(log, plan)
                plan = lifecycle.advance(generations, plan, "check")
            checked = self.check(log, plan, accept=accept)
            lifecycle.flip(generations, plan)
            return Report(plan.generation, checked, self._peak_kb)

    def build(self, plan: Plan) -> None:
        """Build every range; whatever Redis lost of one that was done is built again."""
        left = ranges(plan.bounds)
        done = 0
        for _ in range(BUILD_ROUNDS):
            self._tell("building", done, plan.position)
            for filled in self._workers.fill(plan.generation, left):
                done = min(done + filled.events, plan.position)
                self._peak_kb = max(self._peak_kb, filled.peak_kb)
                self._tell("building", done, plan.position)
            left = outlasting_redis(lambda: self._not_built(plan))
            if not left:
                self._tell("building", plan.position, plan.position)
                return outlasting_redis(lambda: self._count_built(plan))
        raise StalledError(f"Redis kept losing what was built: {len(left)} ranges are not there")

    def hand_over(self, log: OrderLog, plan: Plan) -> None:
        """Catch up with the log, have the generation fed, and wait until both are level."""
        generations = self._generations
        outlasting_redis(
            lambda: catch_up(self._parts, generations, log, plan.generation, self._tell)
        )
        outlasting_redis(lambda: hand_over(generations, log, plan.generation, self._tell))

    def check(self, log: OrderLog, plan: Plan, *, accept: bool) -> Checked:
        """Hold the generation against the log and against the live one.

        Raises:
            WrongError: it differs from the log.
            ChangedError: it differs from the live one, and that was not accepted.
        """
        generations = self._generations
        # Again, in case Redis was restarted since: it costs nothing where all is well.
        outlasting_redis(lambda: hand_over(generations, log, plan.generation, self._tell))
        live = generations.live()
        beside = Beside(live, apart_to=plan.position)
        checked = self.compare(plan.generation, beside, plan.bounds, log.head())
        if checked.wrong.count:
            raise WrongError(plan.generation, checked.wrong)
        if checked.changed.count and not accept:
            version = generations.ledger().versions.get(live)
            raise ChangedError(plan, version, checked.changed)
        return checked

    def verify(self) -> Checked:
        """Hold the live generation against the log, and change nothing.

        Raises StalledError: it has not come as far as the log.
        """
        with opened(self._parts.connect) as log:
            live = self._generations.live()
            await_head(self._generations, log, live)
            head = log.head()
            return self.compare(live, None, log.bounds(head), head)

    def compare(
        self, generation: int, beside: Beside | None, bounds: list[str], events: int
    ) -> Checked:
        """Check every order of the log, and what no order explains."""
        strays = self._workers.strays(generation, beside)
        ghosts = None if beside is None else self._workers.ghosts(beside.generation, generation)
        checked = NOTHING_CHECKED
        self._tell("checking", 0, events)
        for one in self._workers.check(generation, beside, ranges(bounds)):
            checked += one
            self._tell("checking", min(checked.events, events), events)
        self._tell("checking", events, events)
        wrong = checked.wrong + strays.result()
        changed = checked.changed + (NOTHING if ghosts is None else ghosts.result())
        return Checked(checked.events, checked.orders, wrong, changed)

    def _not_built(self, plan: Plan) -> list[Range]:
        built = [self._built(partition, plan) for partition in range(self._parts.partitions)]
        return [
            one
            for one in ranges(plan.bounds)
            if any(shard.get(str(one.number)) != DONE for shard in built)
        ]

    def _built(self, partition: int, plan: Plan) -> dict[str, str]:
        key = shard_keys.built_key(partition, plan.generation)
        stored: Any = self._parts.client.hgetall(key)
        return {bytes(one).decode(): bytes(last).decode() for one, last in stored.items()}

    def _count_built(self, plan: Plan) -> None:
        """Let each shard say how far it has come, once all of it is there."""
        for shard, progress in zip(self._generations.shards, plan.progress, strict=True):
            before = shard.progress_of([plan.generation])[plan.generation]
            if shard.position(plan.generation) == 0:
                step = Step(plan.generation, [], before, progress)
                shard.apply_unfed(step, position=plan.position)
