"""What becomes of generations: begun, flipped, rolled back, dropped.

Rule: the ledger is written before something is begun that a killed process would leave behind,
and after it is done. So whoever comes next knows what to go on with.
"""

from datetime import UTC, datetime

from msgspec.structs import replace

from infrastructure.rebuild.catch_up import live_progress
from infrastructure.rebuild.log import OrderLog
from infrastructure.redis.generations import Generations, Ledger, LedgerMovedError, Plan, Stage
from projections.order.document import PROJECTION_VERSION


class RefusedError(Exception):
    """What was asked for can't be done as things are; the message says what can."""


def begin(generations: Generations, log: OrderLog) -> Plan:
    """Choose the next generation, and write down how it will be built.

    A generation that was kept for a rollback is dropped: there is place for two.

    Raises:
        RefusedError: another one was begun, and is not finished.
    """
    ledger = generations.ledger()
    if ledger.next is not None:
        raise RefusedError(
            f"generation {ledger.next.generation} was begun at {ledger.next.started_at}:"
            " go on with --resume, or give it up with --abort"
        )
    drop_previous(generations)
    ledger, live = generations.ledger(), generations.live()
    # Progress before the log: what it counts is in what is read then.
    progress = live_progress(generations, live)
    position = log.head()
    plan = Plan(
        generation=max(ledger.highest, live) + 1,
        stage="build",
        projection_version=PROJECTION_VERSION,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        position=position,
        bounds=log.bounds(position),
        progress=progress,
    )
    # Its number may have been given before Redis was wiped.
    generations.delete(plan.generation)
    generations.write(ledger, replace(ledger, highest=plan.generation, next=plan))
    return plan


def unfinished(generations: Generations) -> Plan:
    """Give the plan of the generation that is being built.

    Raises:
        RefusedError: there is none.
    """
    plan = generations.ledger().next
    if plan is None:
        raise RefusedError("there is no unfinished rebuild")
    return plan


def resumed(generations: Generations) -> Plan:
    """Give the plan to go on with.

    Raises:
        RefusedError: there is none, or another projection began it: of what that built, this one
            would take for right what the generation that is read shows alike.
    """
    plan = unfinished(generations)
    if generations.live() == plan.generation or plan.projection_version == PROJECTION_VERSION:
        return plan
    raise RefusedError(
        f"generation {plan.generation} was begun with version {plan.projection_version} of the"
        f" projection, and this is {PROJECTION_VERSION}: give it up with --abort, and begin again"
    )


def advance(generations: Generations, plan: Plan, stage: Stage) -> Plan:
    """Write down that a stage is done. Raises LedgerMovedError."""
    ledger = _still(generations, plan)
    after = replace(plan, stage=stage)
    generations.write(ledger, replace(ledger, next=after))
    return after


def flip(generations: Generations, plan: Plan) -> None:
    """Let the new generation be read; the old one stays fed, for a rollback.

    Raises:
        LedgerMovedError: Redis was wiped, or somebody else was here; nothing is flipped.
    """
    ledger = _still(generations, plan)
    generations.flip(before=generations.live(), after=plan.generation)
    versions = ledger.versions | {plan.generation: plan.projection_version}
    kept = {one: version for one, version in versions.items() if one in generations.fed()}
    generations.write(ledger, replace(ledger, next=None, versions=kept))


def previous(generations: Generations) -> set[int]:
    """Give what is fed besides the generation that is read and the one that is being built."""
    building = generations.ledger().next
    return generations.fed() - {generations.live(), building.generation if building else 0}


def roll_back(generations: Generations) -> tuple[int, int]:
    """Let the generation be read that was read before; give both numbers, old and new.

    It has been fed all the while, in one script with the other, so it is complete.

    Raises:
        RefusedError: none was kept, or it is not whole.
    """
    ledger, live = generations.ledger(), generations.live()
    if ledger.next is not None:
        raise RefusedError("a rebuild is unfinished: --resume or --abort it first")
    if ledger.dropping is not None:
        raise RefusedError("dropping it was begun: --drop-previous ends that")
    kept = previous(generations)
    if not kept:
        raise RefusedError("there is no previous generation to go back to")
    target = max(kept)
    if target > ledger.highest:
        raise RefusedError(
            f"nothing says that generation {target} was ever checked, as where Redis was wiped"
            " while it was built: --drop-previous deletes it"
        )
    for shard in generations.shards:
        progress = shard.progress()
        if target not in progress or progress[target] != progress.get(live):
            raise RefusedError(f"generation {target} is not complete: Redis has lost data")
    generations.flip(before=live, after=target)
    return live, target


def drop_previous(generations: Generations) -> set[int]:
    """Delete what was kept for a rollback, and what an earlier drop has left; give which."""
    ledger = generations.ledger()
    dropped = previous(generations)
    if ledger.dropping is not None:
        dropped.add(ledger.dropping)
    for generation in sorted(dropped):
        _drop(generations, generation)
    return dropped


def _drop(generations: Generations, generation: int) -> None:
    ledger = generations.ledger()
    ledger = generations.write(ledger, replace(ledger, dropping=generation))
    generations.delete(generation)
    generations.write(ledger, replace(ledger, dropping=None))


def abort(generations: Generations) -> int:
    """Give up the unfinished generation and delete it; give its number.

    Raises:
        RefusedError: there is none, or it is read already.
    """
    plan = unfinished(generations)
    if generations.live() == plan.generation:
        raise RefusedError(f"generation {plan.generation} is read already: --resume ends it")
    ledger = generations.ledger()
    generations.write(ledger, replace(ledger, next=None, dropping=plan.generation))
    _drop(generations, plan.generation)
    return plan.generation


def _still(generations: Generations, plan: Plan) -> Ledger:
    """Read the ledger, and see that the plan is still in it."""
    ledger = generations.ledger()
    if ledger.next != plan:
        raise LedgerMovedError(
            f"Redis no longer knows of generation {plan.generation} as it was: if it was wiped,"
            " start a new rebuild; otherwise --resume"
        )
    return ledger
