"""Makes seals, and copies them to S3.

Rules: nothing is signed on top of what is known to be wrong (`footing`). A seal is stored first
and copied later, and copying looks at what S3 lacks, so whoever is killed in between is made up
for by the next start. What S3 holds is never written over; where it holds something else, that is
told. A range that does not fit its seal any more is told too, and its seal is copied all the same:
it is the evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from infrastructure.audit.copies import (
    CopiesAwayError,
    CopyConflictError,
    SealCopies,
    write_entries,
)
from infrastructure.audit.footing import (
    LogDamagedError,
    read_entries,
    read_sound,
    require_still_sealed,
    root_of,
)
from infrastructure.audit.log import Connection, read_head, scalar
from infrastructure.audit.merkle import Entry
from infrastructure.audit.seal_store import (
    SealTakenError,
    append_seal,
    last_seal,
    seals_between,
)
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
        self._seen = 0  # the highest number that S3 was seen to have

    def seal_next(self, connection: Connection, *, after_s: float) -> Seal | None:
        """Seal a full range, or what there is if its first event is older than `after_s`.

        Raises:
            LogDamagedError: the log or its seals are not what they were; nothing is signed.
            SealTakenError: another sealer was first.
        """
        last = last_seal(connection)
        number, first = (1, 1) if last is None else (last.number + 1, last.last_position + 1)
        waiting = read_head(connection) - first + 1
        if waiting < 0:
            raise LogDamagedError(f"the log ends before position {first - 1}, which is sealed")
        if waiting == 0:
            return None
        if waiting < self._seal_events and not _has_waited(connection, first, after_s):
            return None
        before = None
        if last is not None:
            _, before = require_still_sealed(connection, last, self._public_keys)
        self._require_no_copy(connection, number)
        end = first + min(waiting, self._seal_events) - 1
        entries = read_sound(connection, first, end, before)
        seal = Seal(
            number=number,
            first_position=first,
            last_position=entries[-1].position,
            events=len(entries),
            root=root_of(entries),
            sealed_at=datetime.now(UTC).isoformat(),
            previous=NO_SEAL if last is None else digest(last.raw),
            key=self._key_id,
        )
        append_seal(connection, number, first, seal.last_position, sign(seal, self._key))
        return seal

    def _require_no_copy(self, connection: Connection, number: int) -> None:
        """See that a seal that is to be made was not made before: its row would have been removed.

        With S3 away, only what this process has seen there can tell.
        """
        if number > self._seen and not self._is_copied(number):
            return
        now = last_seal(connection)
        if now is not None and now.number >= number:
            raise SealTakenError(f"seal {number} was made meanwhile")
        raise LogDamagedError(f"S3 has seal {number}, and its row is gone")

    def _is_copied(self, number: int) -> bool:
        """Ask S3 for a seal of ours under a number; what anybody else put there is none."""
        try:
            copy = self._copies.find(number, number).get(number)
            return copy is not None and read_seal(copy.raw, self._public_keys).number == number
        except (BadSealError, CopiesAwayError):
            return False

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
        self._seen = max(self._seen, last)
        return last, faults

    def _copy(self, connection: Connection, number: int, raw: bytes) -> CopyFault | None:
        fault: CopyFault | None = None
        entries: Sequence[Entry] = ()
        try:
            seal = read_seal(raw, self._public_keys)
            entries = read_entries(connection, seal.first_position, seal.last_position)
            if root_of(entries) != seal.root:
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
