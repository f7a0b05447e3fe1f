"""The sealer: signs what the log holds, every so often, and copies the seals to S3.

It needs no lock: `append_seal` gives each number once, so a second sealer, or `audit seal`, only
makes the other one look again, and one that hangs holds up nobody. It starts each time from
what is stored. With S3 away it goes on sealing, says so, and copies when S3 is back. Where the
log is not what it was, it signs nothing until that is mended, says so, and still copies. Copies
that S3 had and has no longer are told, and not made again: that is `audit seal --refill-copies`.
"""

import threading
import time
from collections.abc import Sequence

import psycopg
import structlog
from prometheus_client import Counter, Gauge

from infrastructure import audit_composition
from infrastructure.audit.copies import CopiesAwayError
from infrastructure.audit.footing import LogDamagedError
from infrastructure.audit.log import Connection
from infrastructure.audit.seal_store import SealTakenError, last_seal
from infrastructure.audit.sealer import Sealer
from infrastructure.processes.worker import Health, run_worker
from infrastructure.settings import Settings

LOOK_EVERY_S = 1.0
LOOK_AGAIN_S = 10.0
"""While nothing may be sealed: a look reads a range or two."""
LOOK_FOR_GONE_S = 60.0
"""While copies are gone: a look lists all of them."""

_log = structlog.get_logger(__name__)
_sealed = Gauge("ordertrail_sealer_seal", "Number of the newest seal")
_position = Gauge("ordertrail_sealer_position", "Log position up to which everything is sealed")
_copied = Gauge("ordertrail_sealer_copied_seal", "Number up to which S3 has every seal")
_gone = Gauge("ordertrail_sealer_copies_gone", "Seals that S3 had a copy of, and shows no longer")
_refusing = Gauge(
    "ordertrail_sealer_refusing", "1 while nothing is signed because the log is not what it was"
)
_conflicts = Counter("ordertrail_sealer_copy_faults", "Seals that don't fit S3's copy or the log")


def serve(port: int) -> None:
    """Run the sealer until SIGTERM."""
    settings = Settings()
    worker = SealerWorker(
        settings.store.postgres_url.get_secret_value(),
        audit_composition.sealer(settings),
        seal_every_s=settings.sealer.seal_every_s,
    )
    run_worker("sealer", worker.work, host=settings.http.http_host, port=port)


class SealerWorker:
    """Seals and copies, in rounds."""

    def __init__(self, postgres_url: str, sealer: Sealer, *, seal_every_s: float) -> None:
        self._postgres_url = postgres_url
        self._sealer = sealer
        self._seal_every_s = seal_every_s
        self._copied = 0
        self._gone = self._gone_to = 0  # how many copies are, and the highest number of them
        self._look_for_gone_at = 0.0
        self._refused: str | None = None

    def work(self, stopping: threading.Event, health: Health) -> None:
        """Seal until told to stop; a fault ends it, to begin again from what is durable."""
        self._copied = 0  # what S3 lacks is found out at every start
        with psycopg.connect(self._postgres_url, autocommit=True, connect_timeout=5) as connection:
            _log.info("sealer_active")
            while not stopping.is_set():
                problem = None
                try:
                    self._copy(connection, stopping)
                except CopiesAwayError as error:
                    problem = f"seals are not copied: {error}"
                self._seal(connection, stopping)
                if self._gone:
                    problem = f"S3 has lost copies of {self._gone} seals; run `audit verify`"
                problem = self._refused or problem
                if problem is None:
                    health.good()
                else:
                    health.bad(problem[:300])
                stopping.wait(LOOK_EVERY_S if self._refused is None else LOOK_AGAIN_S)

    def _seal(self, connection: Connection, stopping: threading.Event) -> None:
        refused = None
        try:
            while not stopping.is_set():
                seal = self._sealer.seal_next(connection, after_s=self._seal_every_s)
                if seal is None:
                    break
                _log.info(
                    "sealed", seal=seal.number, first=seal.first_position, last=seal.last_position
                )
        except SealTakenError:
            _log.info("another_sealer_was_first")
        except LogDamagedError as error:
            refused = f"nothing is sealed: {error}; run `audit verify --full`"
            if refused != self._refused:
                _log.error("sealing_refused", reason=str(error))
        self._refused = refused
        _refusing.set(refused is not None)
        newest = last_seal(connection)
        if newest is not None:
            _sealed.set(newest.number)
            _position.set(newest.last_position)

    def _copy(self, connection: Connection, stopping: threading.Event) -> None:
        if self._gone and time.monotonic() >= self._look_for_gone_at:
            self._copied = self._gone = self._gone_to = 0
        while not stopping.is_set():
            looked = self._sealer.copy_after(connection, self._copied)
            for fault in looked.faults:
                _conflicts.inc()
                _log.error("seal_copy_fault", seal=fault.number, reason=fault.what)
            self._miss(looked.gone)
            if looked.reached == self._copied:
                break
            self._copied = looked.reached
            _copied.set(looked.reached)
        _gone.set(self._gone)

    def _miss(self, gone: Sequence[int]) -> None:
        new = [number for number in gone if number > self._gone_to]
        if new:
            _log.error("seal_copies_gone", seals=len(new), first=new[0], last=new[-1])
            self._gone, self._gone_to = self._gone + len(new), new[-1]
            self._look_for_gone_at = time.monotonic() + LOOK_FOR_GONE_S
