"""`audit verify`: hold the log against its chains, its seals, and their copies on S3.

One pass over the log in position order, in one snapshot, with a bounded memory: a chunk of rows,
the leaves of one seal, the last hashes of some streams. Where a seal's root does not fit, the
entries that S3 has of its range tell which event it was, and what happened to it.

Rule: S3's copies and the public keys are what is believed; the database is what is checked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from infrastructure.audit.chains import ChainCheck
from infrastructure.audit.copies import CopiesAwayError, SealCopies
from infrastructure.audit.differences import difference
from infrastructure.audit.footing import LogDamagedError, read_entries, root_of
from infrastructure.audit.log import (
    Connection,
    entry_of,
    find_events,
    read_head,
    read_nowhere,
    read_range,
    recorded_us,
    scalar,
)
from infrastructure.audit.merkle import Entry, merkle_root
from infrastructure.audit.report import MOST_FAULTS, Fault, Id, Kind, Report
from infrastructure.audit.seal_store import seal_before, seal_holding, seals_between
from infrastructure.audit.seal_walk import SealWalk, numbers_beyond
from infrastructure.audit.seals import NO_SEAL, BadSealError, Seal, digest, read_seal
from infrastructure.audit.suspicions import OrderCheck, Suspicions

RECORDED = "SELECT timestamptz_send(recorded_at) FROM events WHERE notification_id = %s"

Tell = Callable[[int, int], None]
"""Called with the events done and the events to do."""


@dataclass(frozen=True, slots=True)
class Verified:
    """Where a verification may begin: after a seal that one before it has proven."""

    seal: int
    digest: str
    last_position: int


BEGINNING = Verified(0, NO_SEAL, 0)


def begin_at(connection: Connection, position: int) -> Verified:
    """Find where to begin so that `position` is checked: a seal's range is checked whole."""
    holding = seal_holding(connection, position)
    before = seal_before(connection, holding)
    if before is None:
        return BEGINNING
    return Verified(before.number, digest(before.raw), before.last_position)


class Verifier:
    """One verification; `verify` is called once."""

    def __init__(
        self,
        connection: Connection,
        copies: SealCopies,
        keys: Mapping[str, Ed25519PublicKey],
        begin: Verified = BEGINNING,
        tell: Tell = lambda _done, _all: None,
    ) -> None:
        """Take a connection in autocommit that nobody else uses meanwhile."""
        self._connection = connection
        self._copies = copies
        self._keys = keys
        self._begin = begin
        self._tell = tell
        self._report = Report(begin.last_position + 1, 0, begin.last_position)
        self._reached = begin
        self._suspicions = Suspicions(begin.last_position + 1)

    def verify(self) -> tuple[Report, Verified]:
        """Verify what comes after `begin`; gives the report, and where the next one may begin."""
        report = self._report
        beyond = self._ask_beyond()
        self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._connection.read_only = True
        with self._connection.transaction():
            report.head = read_head(self._connection)
            self._check_nowhere()
            self._check_begin()
            walk = SealWalk(self._connection, self._copies, self._keys, report)
            begin = self._begin
            self._pass(walk.walk(begin.seal + 1, begin.digest, begin.last_position + 1, beyond))
        self._suspicions.judge(report)
        return report, self._reached

    def _ask_beyond(self) -> Sequence[int]:
        try:
            return numbers_beyond(self._connection, self._copies)
        except CopiesAwayError as error:
            self._report.unchecked.append(f"copies of seals that may have lost their rows: {error}")
            return ()

    def _check_nowhere(self) -> None:
        for event in read_nowhere(self._connection, MOST_FAULTS):
            what = "the log has no such position"
            one = Fault(Kind.INSERTED, what, event.position, event.stream, event.version)
            self._report.add(one)

    def _check_begin(self) -> None:
        number = self._begin.seal
        row = seals_between(self._connection, number, number).get(number)
        if number == 0:
            return
        if row is None or digest(row) != self._begin.digest:
            what = "it is not the seal that was verified before; --full looks from the beginning"
            self._fault_at_begin(Fault(Kind.SEAL, what, seal=number))
            return
        self._check_range_before(row)

    def _check_range_before(self, row: bytes) -> None:
        """Look at the range before, as the sealer does: what it refuses to seal on is told here."""
        try:
            seal = read_seal(row, self._keys)
        except BadSealError as error:
            what = f"it is no seal of ours: {error}"
            self._fault_at_begin(Fault(Kind.SEAL, what, seal=self._begin.seal))
            return
        try:
            entries = read_entries(self._connection, seal.first_position, seal.last_position)
            fits = root_of(entries) == seal.root
        except LogDamagedError:
            fits = False
        if not fits:
            self._report.proven_to = 0
            self._name(seal)

    def _fault_at_begin(self, fault: Fault) -> None:
        self._report.add(fault)
        self._report.proven_to = 0  # nothing before it was looked at this time

    def _pass(self, seals: Iterator[tuple[Seal, str]]) -> None:
        report, suspicions = self._report, self._suspicions
        chains = ChainCheck(lambda wanted: find_events(self._connection, wanted))
        order = OrderCheck(report.first_position, self._recorded_before())
        current = next(seals, None)
        leaves: list[bytes] = []
        for chunk in read_range(self._connection, report.first_position, report.head):
            chains.prepare(chunk)
            for event in chunk:
                position = event.position
                while current is not None and position > current[0].last_position:
                    self._close(*current, leaves)
                    leaves = []
                    current = next(seals, None)
                entry = entry_of(event)
                suspicions.keep(chains.check(event, entry.event_hash))
                suspicions.keep(order.check(entry))
                if current is not None and position >= current[0].first_position:
                    leaves.append(entry.leaf())
            report.events += len(chunk)
            self._tell(report.events, report.head - report.first_position + 1)
            if report.stopped:
                return
        while current is not None and not report.stopped:
            self._close(*current, leaves)
            leaves = []
            current = next(seals, None)

    def _recorded_before(self) -> int | None:
        raw = scalar(self._connection, RECORDED, self._begin.last_position)
        return None if raw is None else recorded_us(raw)

    def _close(self, seal: Seal, raw_digest: str, leaves: Sequence[bytes]) -> None:
        """Hold the range of a seal against its root, now that all of it was read."""
        report = self._report
        fits = merkle_root(leaves).hex() == seal.root
        self._suspicions.sealed(seal.first_position, seal.last_position, fits=fits)
        if not fits:
            self._name(seal)
        elif report.proven_to == seal.first_position - 1:
            report.proven_to = seal.last_position
            self._reached = Verified(seal.number, raw_digest, seal.last_position)

    def _name(self, seal: Seal) -> None:
        """Tell which event of a range is not as it was sealed."""
        first, last = seal.first_position, seal.last_position
        sealed = self._sealed_entries(seal)
        chunks = read_range(self._connection, first, last, cursor="audit_again")
        found = [entry_of(event) for chunk in chunks for event in chunk]
        different = sealed and difference(sealed, found, self._position_of)
        if different:
            self._report.add(replace(different.first, seal=seal.number))
            self._suspicions.explained(different.touched, range(first, last + 1))
            return
        what = f"what stands from there to position {last} is not what was sealed"
        if not sealed:
            what += "; without the entries on S3 it can't be told which event it is"
        self._report.add(Fault(Kind.CHANGED, what, position=first, seal=seal.number))

    def _sealed_entries(self, seal: Seal) -> Sequence[Entry] | None:
        try:
            entries = self._copies.find_entries(seal.number)
        except CopiesAwayError as error:
            self._report.unchecked.append(f"the entries of seal {seal.number}: {error}")
            return None
        proven = entries and merkle_root([one.leaf() for one in entries]).hex() == seal.root
        return entries if proven else None

    def _position_of(self, one: Id) -> int | None:
        found = find_events(self._connection, [one])
        return found[one].position if one in found else None
