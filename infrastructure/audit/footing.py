"""What the sealer looks at before it signs: a seal must not stand on a falsified log.

Rule: a range is signed only if the one before it is still as it was sealed, and if its own events
have no gap, no time that goes back, and hold the hashes of the events before them. That costs a
range read again, and a look-up per stream that has nothing in it, however long the log is. What
is older than the range before, and holds nothing of the new one, is for `audit verify`.
"""

from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from infrastructure.audit.chains import ChainCheck
from infrastructure.audit.log import Connection, entry_of, find_events, read_range
from infrastructure.audit.merkle import Entry, merkle_root
from infrastructure.audit.seal_store import StoredSeal
from infrastructure.audit.seals import BadSealError, Seal, read_seal
from infrastructure.audit.suspicions import OrderCheck


class LogDamagedError(Exception):
    """The log, or a seal of it, is not what it was: nothing may be signed on top of that."""


def read_entries(connection: Connection, first: int, last: int) -> Sequence[Entry]:
    """Read a range, both ends within.

    Raises:
        LogDamagedError: a position is missing.
    """
    with connection.transaction():
        entries = [entry_of(e) for chunk in read_range(connection, first, last) for e in chunk]
    for expected, entry in enumerate(entries, first):
        if entry.position != expected:
            raise LogDamagedError(f"position {expected} of the log is missing")
    if len(entries) != last - first + 1:
        raise LogDamagedError(f"position {first + len(entries)} of the log is missing")
    return entries


def root_of(entries: Sequence[Entry]) -> str:
    return merkle_root([entry.leaf() for entry in entries]).hex()


def require_still_sealed(
    connection: Connection, last: StoredSeal, keys: Mapping[str, Ed25519PublicKey]
) -> tuple[Seal, Sequence[Entry]]:
    """Read the range of the last seal again; gives that seal, and what it covers.

    Raises:
        LogDamagedError: the row is no seal of ours, or the range is not what it says.
    """
    try:
        seal = read_seal(last.raw, keys)
    except BadSealError as error:
        raise LogDamagedError(
            f"the row of seal {last.number} is no seal of ours: {error}"
        ) from error
    if (seal.number, seal.last_position) != (last.number, last.last_position):
        raise LogDamagedError(f"the row of seal {last.number} holds another seal")
    entries = read_entries(connection, seal.first_position, seal.last_position)
    if root_of(entries) != seal.root:
        raise LogDamagedError(
            f"positions {seal.first_position} to {seal.last_position} are not"
            f" what seal {seal.number} says"
        )
    return seal, entries


def read_sound(
    connection: Connection, first: int, last: int, before: Sequence[Entry]
) -> Sequence[Entry]:
    """Read a range that may be signed; `before` is the range before it, as it was just proven.

    Raises:
        LogDamagedError: it has a gap, a time that goes back, or a chain that does not hold.
    """
    chains = ChainCheck(lambda wanted: find_events(connection, wanted))
    order = OrderCheck(first, before[-1].recorded_us if before else None)
    for proven in before:
        chains.know(proven)
    entries: list[Entry] = []
    with connection.transaction():
        for chunk in read_range(connection, first, last):
            chains.prepare(chunk)
            for event in chunk:
                entry = entry_of(event)
                broken = order.check(entry) or chains.check(event, entry.event_hash)
                if broken is not None:
                    where = f"position {broken.position}"
                    if broken.stream is not None:
                        where += f", {broken.stream} version {broken.version}"
                    raise LogDamagedError(f"{where}: {broken.what}")
                entries.append(entry)
    if len(entries) != last - first + 1:
        raise LogDamagedError(f"position {first + len(entries)} of the log is missing")
    return entries
