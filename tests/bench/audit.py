"""`audit verify --full` beside a bare read of the same log, both through a server-side cursor.

The log is written with COPY: orders of four events each, begun one after the other, their
events between those of others, every state as long as a real one and chained as they are.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg

from infrastructure.audit.copies import SealCopies
from infrastructure.audit.sealer import Sealer
from infrastructure.audit.seals import read_public_keys, read_signing_key
from infrastructure.audit.verify import Verifier
from infrastructure.event_store.mapper import event_hash
from tests.bench.report import Bar, Row
from tests.bench.rounds import Contender, Effort, interleave
from tests.bench.stack import Platform, Stack
from tests.bench.views import place_orders

EVENTS = 100_000
EVENTS_OF_ORDER = 4
ORDERS_AT_ONCE = 5_000
SEAL_EVENTS = 10_000
CURSOR_ROWS = 2_000
BARE = "bare read"
TYPE = "order.placed.v2"
NO_HASH = "0" * 64


def measure(stack: Stack, effort: Effort) -> Sequence[Row]:
    platform = stack.platform()
    events = _fill(platform, int(EVENTS * effort.scale))
    SealCopies(stack.copies).make_bucket()
    sealing_s = _seal(stack, platform)
    contenders = {"ours": _verify(stack, platform, events), BARE: _read(platform)}
    notes = {"events": float(events), "sealed and copied, events/s": events / sealing_s}
    figures = interleave(contenders, effort)
    return [Row("audit verify --full", "events/s", figures, [Bar(BARE, 0.3)], notes)]


def _fill(platform: Platform, how_many: int) -> int:
    """Write so many events, give or take, and count them."""
    place_orders(platform, 1)
    with psycopg.connect(platform.owner_url) as connection:
        found = connection.execute("SELECT state FROM events").fetchone()
        assert found is not None
        with connection.cursor().copy("COPY events FROM STDIN") as copy:
            for position, event in enumerate(_events(bytes(found[0]), how_many), 2):
                stream, version, state, order_id = event
                now = datetime.now(UTC)
                copy.write_row((stream, version, TYPE, state, position, now, order_id))
    with psycopg.connect(platform.owner_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE events")
    return position


def _events(template: bytes, how_many: int) -> Iterator[tuple[str, int, bytes, UUID]]:
    before, after = template.split(NO_HASH.encode())
    for _ in range(-(-how_many // (ORDERS_AT_ONCE * EVENTS_OF_ORDER))):
        hashes = {uuid4(): NO_HASH for _ in range(ORDERS_AT_ONCE)}
        for version in range(1, EVENTS_OF_ORDER + 1):
            for order_id, previous in hashes.items():
                stream, state = f"order-{order_id}", before + previous.encode() + after
                hashes[order_id] = event_hash(stream, version, TYPE, state).hex()
                yield stream, version, state, order_id


def _seal(stack: Stack, platform: Platform) -> float:
    """Seal and copy everything; gives the seconds that it took."""
    settings = stack.copies
    sealer = Sealer(
        read_signing_key(stack.seal_key_file),
        read_public_keys(settings.seal_public_key_file),
        SealCopies(settings),
        seal_events=SEAL_EVENTS,
    )
    started = time.perf_counter()
    with psycopg.connect(platform.owner_url, autocommit=True) as connection:
        while sealer.seal_next(connection, after_s=0):
            pass
        looked = sealer.copy_after(connection, 0)
    assert looked.reached
    assert not looked.faults
    return time.perf_counter() - started


def _verify(stack: Stack, platform: Platform, events: int) -> Contender:
    settings = stack.copies
    keys = read_public_keys(settings.seal_public_key_file)

    def run(_seconds: float) -> float:
        started = time.perf_counter()
        with psycopg.connect(platform.owner_url, autocommit=True) as connection:
            report, _ = Verifier(connection, SealCopies(settings), keys).verify()
        assert (report.exit_code, report.proven_to) == (0, events), report
        return events / (time.perf_counter() - started)

    return run


def _read(platform: Platform) -> Contender:
    def run(_seconds: float) -> float:
        started = time.perf_counter()
        events = 0
        with psycopg.connect(platform.owner_url) as connection, connection.cursor("bare") as cursor:
            cursor.itersize = CURSOR_ROWS
            cursor.execute("SELECT * FROM events ORDER BY notification_id")
            for _ in cursor:
                events += 1
        return events / (time.perf_counter() - started)

    return run
