"""The seals, one after the other, each judged by row, copy and signature.

Rule: a row counts for as little as a copy. What counts is a good signature, on the copy first:
the lock keeps it. So a seal whose row was rewritten or removed still proves its range.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, islice

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from infrastructure.audit.copies import CopiesAwayError, Copy, SealCopies
from infrastructure.audit.log import Connection, scalar
from infrastructure.audit.report import Fault, Kind, Report
from infrastructure.audit.seal_store import places_between, seals_between
from infrastructure.audit.seals import BadSealError, Seal, digest, read_seal

CHUNK = 200
COPIED_WITHIN = timedelta(minutes=10)
"""A seal may wait so long for its copy before that is a fault."""
MOST_BEYOND = 1_000
LAST_NUMBER = "SELECT coalesce(max(number), 0) FROM seals"


class SealWalk:
    """One walk. Adds what is wrong with seals to the report."""

    def __init__(
        self,
        connection: Connection,
        copies: SealCopies,
        keys: Mapping[str, Ed25519PublicKey],
        report: Report,
    ) -> None:
        self._connection = connection
        self._copies: SealCopies | None = copies
        self._keys = keys
        self._report = report
        self._copied = 0  # up to this seal, S3 once had a copy of each
        self._gone = self._gone_to = self._gone_from = 0

    def walk(
        self, first: int, previous: str | None, position: int, beyond: Sequence[int]
    ) -> Iterator[tuple[Seal, str]]:
        """Give each seal that is proven by its signature, and the digest of its bytes.

        Args:
            first: number of the first seal to look at.
            previous: digest of the seal before that; None: not known.
            position: where the first seal's range must begin.
            beyond: numbers of copies that were seen before the transaction and may have no row.
        """
        last = int(scalar(self._connection, LAST_NUMBER))
        self._copied = self._copied_by(last)
        if 0 < self._copied < first:  # of the copies that are not walked, at least one
            found = self._find_copies(self._copied, self._copied)
            if found is not None and self._copied not in found:
                self._gone, self._gone_from, self._gone_to = 1, self._copied, self._copied
        numbers = chain(range(first, last + 1), (n for n in beyond if n > max(last, first - 1)))
        while (some := list(islice(numbers, CHUNK))) and not self._report.stopped:
            rows = seals_between(self._connection, some[0], some[-1])
            places = places_between(self._connection, some[0], some[-1])
            copies = self._find_copies(some[0], some[-1])
            for number in some:
                copy = None if copies is None else copies.get(number)
                raw = self._judge(number, rows.get(number), copy, position)
                if raw is None:
                    previous = None
                    continue
                seal = read_seal(raw, self._keys)
                self._follows(seal, previous, position)
                self._stands_where_it_says(seal, places.get(number))
                previous, position = digest(raw), seal.last_position + 1
                self._report.seals += 1
                yield seal, previous
        if self._gone:
            what = f"S3 had copies of {self._gone} seals, up to {self._gone_to}, and has lost them"
            self._report.add(Fault(Kind.COPY, what, seal=self._gone_from))

    def _copied_by(self, last: int) -> int:
        raw = seals_between(self._connection, last, last).get(last)
        if raw is None or self._problem(last, raw) is not None:
            return 0
        return read_seal(raw, self._keys).copied

    def _find_copies(self, first: int, last: int) -> Mapping[int, Copy] | None:
        if self._copies is None:
            return None
        try:
            return self._copies.find(first, last)
        except CopiesAwayError as error:
            self._copies = None
            self._report.unchecked.append(f"the copies from seal {first} on: {error}")
            return None

    def _judge(
        self, number: int, row: bytes | None, copy: Copy | None, position: int
    ) -> bytes | None:
        """Name what is wrong with one seal, and give the bytes that prove it, if any do."""

        def fault(kind: Kind, what: str) -> None:
            self._report.add(Fault(kind, what, position=position, seal=number))

        if row is None and copy is None:
            fault(Kind.SEAL, "it is gone")
            return None
        good = [
            raw for raw in (copy and copy.raw, row) if raw and self._problem(number, raw) is None
        ]
        if row is None:
            fault(Kind.SEAL, "its row is gone; S3 has its copy")
        elif (problem := self._problem(number, row)) is not None:
            fault(Kind.SEAL, f"its row is no seal of ours: {problem}")
        if copy is None:
            if self._copies is not None and row is not None:
                self._lacks_copy(number, row, position)
        else:
            if row is not None and copy.raw != row:
                fault(Kind.COPY, "its row is not what S3 has as its copy")
            if (problem := self._problem(number, copy.raw)) is not None:
                fault(Kind.COPY, f"its copy on S3 is no seal of ours: {problem}")
            if copy.covered:
                fault(Kind.COPY, "something was put on top of its copy on S3; the first one counts")
        return good[0] if good else None

    def _lacks_copy(self, number: int, row: bytes, position: int) -> None:
        if number <= self._copied:
            self._gone, self._gone_to = self._gone + 1, number
            self._gone_from = self._gone_from or number
            return
        if self._problem(number, row) is None:
            sealed_at = datetime.fromisoformat(read_seal(row, self._keys).sealed_at)
            if datetime.now(UTC) - sealed_at < COPIED_WITHIN:
                self._report.not_copied_yet += 1
                return
        what = "S3 has no copy of it"
        self._report.add(Fault(Kind.COPY, what, position=position, seal=number))

    def _problem(self, number: int, raw: bytes) -> str | None:
        try:
            seal = read_seal(raw, self._keys)
        except BadSealError as error:
            return str(error)
        return None if seal.number == number else f"it is seal {seal.number}"

    def _follows(self, seal: Seal, previous: str | None, position: int) -> None:
        if previous is not None and (seal.previous, seal.first_position) != (previous, position):
            what = "it does not follow on the seal before it"
            self._report.add(Fault(Kind.SEAL, what, position=seal.first_position, seal=seal.number))

    def _stands_where_it_says(self, seal: Seal, place: tuple[int, int] | None) -> None:
        if place not in (None, (seal.first_position, seal.last_position)):
            what = "its row has other positions than it was signed with"
            self._report.add(Fault(Kind.SEAL, what, position=seal.first_position, seal=seal.number))


def numbers_beyond(connection: Connection, copies: SealCopies) -> Sequence[int]:
    """List copies whose number is above every row's; to be asked before the transaction begins.

    A seal is stored before it is copied: so a copy that is seen here has a row then, or lost it.

    Raises:
        CopiesAwayError: S3 does not answer.
    """
    last = int(scalar(connection, LAST_NUMBER))
    numbers: list[int] = []
    for number in copies.numbers_after(last):
        numbers.append(number)
        if len(numbers) >= MOST_BEYOND:
            break
    return numbers
