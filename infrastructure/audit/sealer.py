"""Makes seals, and copies them to S3.

Rules: nothing is signed on top of what is known to be wrong (`footing`). A seal is stored first
and copied later, and copying looks at what S3 lacks, so whoever is killed in between is made up
for by the next start. What S3 holds is never written over; where it holds something else, that is
told. A range that does not fit its seal any more is told too, and its seal is copied all the same:
it is the evidence. Each seal says up to which number S3 had a copy of all; what is gone of these
is told, and made anew from the rows only when somebody asks for that.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile

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
from infrastructure.audit.log import Connection, read_head, read_nowhere, scalar
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
HIDDEN = "a delete marker hides its copy on S3: remove the marker, and it is there again"
AGE = """
    SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8
      FROM events WHERE notification_id = %s"""


@dataclass(frozen=True, slots=True)
class CopyFault:
    """A seal that could not be copied as it should; somebody has to look (`audit verify`)."""

    number: int
    what: str


@dataclass(frozen=True, slots=True)
class Copied:
    """What one look at the copies came to.

    Attributes:
        reached: the last seal that was looked at.
        faults: what went wrong, seal by seal.
        gone: seals that S3 had, and shows no longer.
    """

    reached: int
    faults: Sequence[CopyFault] = ()
    gone: Sequence[int] = ()


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
        self._seen = 0  # the highest number that was looked at on S3
        self._copied = 0  # up to this one, all were seen there
        self._ahead = (0, 0.0)  # an event from the future, and when it was first seen

    def seal_next(self, connection: Connection, *, after_s: float) -> Seal | None:
        """Seal a full range, or what there is if its first event is older than `after_s`.

        Raises:
            LogDamagedError: the log or its seals are not what they were; nothing is signed.
            SealTakenError: another sealer was first.
        """
        for event in read_nowhere(connection, 1):
            raise LogDamagedError(f"an event stands at position {event.position}")
        last = last_seal(connection)
        number, first = (1, 1) if last is None else (last.number + 1, last.last_position + 1)
        waiting = read_head(connection) - first + 1
        if waiting < 0:
            raise LogDamagedError(f"the log ends before position {first - 1}, which is sealed")
        if waiting == 0:
            return None
        if waiting < self._seal_events and not self._has_waited(connection, first, after_s):
            return None
        before: Sequence[Entry] = ()
        copied = self._copied
        if last is not None:
            last_signed, before = require_still_sealed(connection, last, self._public_keys)
            copied = max(copied, last_signed.copied)
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
            copied=copied,
        )
        append_seal(connection, number, first, seal.last_position, sign(seal, self._key))
        return seal

    def _has_waited(self, connection: Connection, position: int, after_s: float) -> bool:
        """Whether an event is so old; one from the future, since this process first saw it."""
        age_s = scalar(connection, AGE, position)
        if age_s is None:
            return True  # that it is gone is told by who reads it
        if age_s < 0 and self._ahead[0] != position:
            self._ahead = (position, time.monotonic())
        seen_s = time.monotonic() - self._ahead[1] if self._ahead[0] == position else 0.0
        return bool(max(age_s, seen_s) >= after_s)

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

    def copy_after(self, connection: Connection, number: int, *, refill: bool = False) -> Copied:
        """Copy the next seals after `number`, up to `CHUNK`, that S3 never had.

        Looks whether it still has `number`, too, so that who goes on from there notices a wiped
        S3. With `refill`, what is gone is copied again, from the rows as they are now; what is only
        hidden is not: a copy on top of a copy is a fault for as long as it is locked.

        Raises:
            CopiesAwayError: S3 does not take them.
        """
        rows = seals_between(connection, max(number, 1), number + CHUNK)
        last = max(rows, default=0)
        if last <= number:
            return Copied(number)
        shown = set(takewhile(lambda one: one <= last, self._copies.numbers_after(number - 1)))
        known = self._known_copied(connection)
        gone = [one for one in rows if one <= known and one not in shown and not refill]
        missing = [one for one in rows if one > number and one not in shown and one not in gone]
        hidden = self._copies.find(min(missing), max(missing)) if refill and missing else ()
        found = [
            CopyFault(one, HIDDEN) if one in hidden else self._copy(connection, one, rows[one])
            for one in missing
        ]
        faults = [one for one in found if one is not None]
        if not faults and not gone and number <= self._copied:
            self._copied = max(self._copied, last)
        self._seen = max(self._seen, last)
        return Copied(last, faults, gone)

    def _known_copied(self, connection: Connection) -> int:
        """Give up to which number all seals were copied once, as seen here or as it is signed."""
        last = last_seal(connection)
        try:
            signed = 0 if last is None else read_seal(last.raw, self._public_keys).copied
        except BadSealError:
            signed = 0  # nothing is sealed on it either, and that is told
        return max(self._copied, signed)

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
