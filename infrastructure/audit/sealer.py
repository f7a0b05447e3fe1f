"""Makes seals, and copies them to S3.

Rules: a seal is stored first and copied later, and copying looks at what S3 lacks, so whoever is
killed in between is made up for by the next start. What S3 holds is never written over; where it
holds something else, that is told. A range that does not fit its seal any more is told too, and
its seal is copied all the same: it is the evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from infrastructure.audit.copies import CopyConflictError, SealCopies, write_entries
from infrastructure.audit.log import Connection, entry_of, read_head, read_range, scalar
from infrastructure.audit.merkle import Entry, merkle_root
from infrastructure.audit.seal_store import append_seal, last_seal, seals_between
from infrastructure.audit.seals import (
    NO_SEAL,
    BadSealError,
    Seal,
    digest,
    key_id,
    read_seal,
    sign,
)

CHUNK = 200
WAITED = """
    SELECT NOT EXISTS (SELECT FROM events WHERE notification_id = %s
                          AND recorded_at > clock_timestamp() - make_interval(secs => %s))"""


class LogDamagedError(Exception):
    """The log has a hole where a seal should go: that must not be signed."""


@dataclass(frozen=True, slots=True)
class CopyFault:
    """A seal that could not be copied as it should; somebody has to look (`audit verify`)."""

    number: int
    what: str


class Sealer:
    """Of one log. Its connections are in autocommit; several sealers may work at once."""

    def __init__(
        self,
        key: Ed25519PrivateKey,
        public_keys: Mapping[str, Ed25519PublicKey],
        copies: SealCopies,
        *,
        seal_events: int,
    ) -> None:
        """Take the key to sign with, and all whose seals may be copied; `seal_events` at most."""
        self._key = key
        self._public_keys = public_keys
        self._key_id = key_id(key.public_key())
        self._copies = copies
        self._seal_events = seal_events

    def seal_next(self, connection: Connection, *, after_s: float) -> Seal | None:
        """Seal a full range, or what there is if its first event is older than `after_s`.

        Raises:
            LogDamagedError: a position is missing.
            SealTakenError: another sealer was first.
        """
        last = last_seal(connection)
        number, first = (1, 1) if last is None else (last.number + 1, last.last_position + 1)
        waiting = read_head(connection) - first + 1
        if waiting <= 0:
            return None
        if waiting < self._seal_events and not _has_waited(connection, first, after_s):
            return None
        entries = _read_entries(connection, first, first + min(waiting, self._seal_events) - 1)
        seal = Seal(
            number=number,
            first_position=first,
            last_position=entries[-1].position,
            events=len(entries),
            root=_root(entries),
            sealed_at=datetime.now(UTC).isoformat(),
            previous=NO_SEAL if last is None else digest(last.raw),
            key=self._key_id,
        )
        append_seal(connection, number, first, seal.last_position, sign(seal, self._key))
        return seal

    def copy_after(self, connection: Connection, number: int) -> tuple[int, Sequence[CopyFault]]:
        """Copy the next seals after `number`, up to `CHUNK`, that S3 does not show.

        Gives the last seal that was looked at, `number` if there is none, and what went wrong.

        Raises:
            CopiesAwayError: S3 does not take them.
        """
        rows = seals_between(connection, number + 1, number + CHUNK)
        if not rows:
            return number, ()
        last = max(rows)
        there: set[int] = set()
        for known in self._copies.numbers_after(number):
            if known > last:
                break
            there.add(known)
        faults = [
            fault
            for missing in rows
            if missing not in there
            and (fault := self._copy(connection, missing, rows[missing])) is not None
        ]
        return last, faults

    def _copy(self, connection: Connection, number: int, raw: bytes) -> CopyFault | None:
        fault: CopyFault | None = None
        entries: Sequence[Entry] = ()
        try:
            seal = read_seal(raw, self._public_keys)
            entries = _read_entries(connection, seal.first_position, seal.last_position)
            if _root(entries) != seal.root:
                fault = CopyFault(number, "the log is not as it was sealed")
        except BadSealError as error:
            return CopyFault(number, str(error))
        except LogDamagedError as error:
            fault = CopyFault(number, str(error))
        try:
            self._copies.put(number, raw, None if fault else write_entries(entries))
        except CopyConflictError as error:
            return CopyFault(number, f"S3 holds something else as {error}")
        return fault


def _has_waited(connection: Connection, position: int, after_s: float) -> bool:
    return bool(scalar(connection, WAITED, position, after_s))


def _read_entries(connection: Connection, first: int, last: int) -> Sequence[Entry]:
    with connection.transaction():
        entries = [entry_of(e) for chunk in read_range(connection, first, last) for e in chunk]
    for expected, entry in enumerate(entries, first):
        if entry.position != expected:
            raise LogDamagedError(f"position {expected} of the log is missing")
    if len(entries) != last - first + 1:
        raise LogDamagedError(f"position {first + len(entries)} of the log is missing")
    return entries


def _root(entries: Sequence[Entry]) -> str:
    return merkle_root([entry.leaf() for entry in entries]).hex()
