"""Seals are made once each, in order, by whoever is there, and copied whatever happens between."""

import asyncio
import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from infrastructure.audit.copies import entries_key, seal_key
from infrastructure.audit.footing import LogDamagedError
from infrastructure.audit.log import Connection
from infrastructure.audit.seal_store import SealTakenError, append_seal, seals_between
from infrastructure.audit.sealer import Sealer
from infrastructure.audit.seals import read_public_keys, read_seal
from infrastructure.local.ports import free_port
from infrastructure.processes.sealer import SealerWorker
from infrastructure.processes.worker import Health
from tests.integration.audit.conftest import History

WITHIN_S = 60.0


async def test_a_full_range_is_sealed_at_once_and_a_part_of_one_when_it_has_waited(
    history: History,
) -> None:
    await history.happen("abcdefgh")
    sealer = history.sealer()
    with history.connect() as connection:
        full = sealer.seal_next(connection, after_s=3600)
        assert full is not None
        assert (full.number, full.first_position, full.last_position, full.events) == (1, 1, 6, 6)
        assert sealer.seal_next(connection, after_s=3600) is None
        part = sealer.seal_next(connection, after_s=0)
        assert part is not None
        assert (part.number, part.first_position, part.last_position) == (2, 7, 8)
        assert sealer.seal_next(connection, after_s=0) is None


async def test_an_event_from_the_future_holds_up_no_seal(history: History) -> None:
    """As where PostgreSQL's clock was ahead: no event is recorded before an earlier one."""
    await history.happen("a")
    history.tamper("UPDATE events SET recorded_at = recorded_at + interval '1 day'")
    await history.happen("b")
    sealer = history.sealer()
    with history.connect() as connection:
        assert sealer.seal_next(connection, after_s=0.3) is None
        await asyncio.sleep(0.4)
        seal = sealer.seal_next(connection, after_s=0.3)
        assert seal is not None
        assert seal.last_position == 2
        await history.happen("c")
        assert sealer.seal_next(connection, after_s=60) is None, "no seal for each event"
        assert sealer.seal_next(connection, after_s=0) is not None


async def test_an_event_that_is_from_the_future_no_more_waits_no_longer(history: History) -> None:
    await history.happen("a")
    history.tamper("UPDATE events SET recorded_at = recorded_at + interval '1 s'")
    sealer = history.sealer()
    with history.connect() as connection:
        assert sealer.seal_next(connection, after_s=1.5) is None
        await asyncio.sleep(1.6)
        assert sealer.seal_next(connection, after_s=1.5) is not None


async def test_a_sealer_killed_between_storing_and_copying_is_made_up_for(
    history: History,
) -> None:
    await history.happen("abc")
    history.seal()  # and here it is killed

    assert history.verify().not_copied_yet == 1
    assert history.copy() == []

    assert history.verify().not_copied_yet == 0
    assert set(history.copies.find(1, 9)) == {1}


async def test_a_sealer_killed_between_the_entries_and_their_seal_is_made_up_for(
    history: History,
) -> None:
    await history.happen("abc")
    history.seal()
    assert history.copy() == []
    entries = history.copies._get(entries_key(1))
    history.s3.delete_object(Bucket=history.settings.seal_bucket, Key=seal_key(1))

    assert history.copy() == []

    assert history.copies._get(entries_key(1)) == entries
    assert history.copies.find(1, 1)[1].raw == stored(history, 1)


async def test_copying_again_adds_nothing(told: History) -> None:
    bucket = told.settings.seal_bucket
    before = told.s3.list_object_versions(Bucket=bucket)["Versions"]
    assert told.copy() == []
    assert told.s3.list_object_versions(Bucket=bucket)["Versions"] == before


async def test_something_else_under_a_seals_key_is_told_and_left_as_it_is(
    history: History,
) -> None:
    history.s3.put_object(Bucket=history.settings.seal_bucket, Key=seal_key(1), Body=b"mine")
    await history.happen("abc")
    history.seal()
    with history.connect() as connection:
        copies = history.copies
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(copies, "numbers_after", lambda _number: iter(()))  # it came just now
            sealer = Sealer(
                history.sealer()._key,
                read_public_keys(history.settings.seal_public_key_file),
                copies,
                seal_events=6,
            )
            looked = sealer.copy_after(connection, 0)
    assert [(fault.number, fault.what) for fault in looked.faults] == [
        (1, f"S3 holds something else as {seal_key(1)}")
    ]
    assert history.copies._get(seal_key(1)) == b"mine"


async def test_a_range_that_was_changed_before_its_copy_is_told_and_its_seal_is_copied(
    history: History,
) -> None:
    await history.happen("abc")
    history.seal()
    history.tamper("UPDATE events SET topic = 'other' WHERE notification_id = 2")

    assert history.copy() == ["1: the log is not as it was sealed"]

    assert history.copies.find(1, 1)[1].raw == stored(history, 1)
    assert history.copies.find_entries(1) is None


async def test_a_row_that_is_no_seal_of_ours_is_not_copied(history: History) -> None:
    await history.happen("abc")
    with history.connect() as connection:
        append_seal(connection, 1, 1, 3, b"{}\n")
    assert history.copy() == ["1: it can't be read"]
    assert history.copies.find(1, 1) == {}


async def test_a_log_with_a_hole_is_not_signed(history: History) -> None:
    await history.happen("abcd")
    history.tamper("DELETE FROM events WHERE notification_id = 2")
    with history.connect() as connection, pytest.raises(LogDamagedError, match=r"positions? 2"):
        history.sealer().seal_next(connection, after_s=0)


@pytest.mark.parametrize(
    ("number", "first", "last"), [(1, 1, 2), (2, 1, 3), (2, 3, 3), (3, 4, 4), (2, 4, 99)]
)
async def test_a_seal_that_does_not_follow_on_the_last_is_refused(
    history: History, number: int, first: int, last: int
) -> None:
    await history.happen("abc")
    history.seal()
    await history.happen("d")
    with history.connect() as connection, pytest.raises(SealTakenError):
        append_seal(connection, number, first, last, b"seal")


async def test_two_sealers_give_each_number_once_and_leave_nothing_out(history: History) -> None:
    await history.happen("abcdefgh" * 2)
    connections: list[Connection] = [
        psycopg.connect(history.database_url, autocommit=True) for _ in range(2)
    ]
    start = threading.Barrier(2)

    def seal(connection: Connection) -> None:
        sealer = history.sealer(seal_events=1)
        start.wait()
        while True:
            try:
                if sealer.seal_next(connection, after_s=0) is None:
                    return
            except SealTakenError:
                continue

    threads = [threading.Thread(target=seal, args=[one]) for one in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()

    assert history.copy() == []
    report = history.verify()
    assert (report.exit_code, report.seals, report.proven_to) == (0, 16, 16)


async def test_seals_go_on_while_s3_is_away_and_copies_follow(history: History) -> None:
    reachable = history.settings
    away = f"http://127.0.0.1:{free_port()}"
    history.settings = reachable.model_copy(update={"s3_endpoint_url": away})
    await history.happen("abc")

    run_worker(history, until=lambda health: "seals are not copied" in (health.problem or ""))
    assert stored(history, 1) is not None
    await history.happen("d")
    run_worker(history, until=lambda _: stored(history, 2) is not None)

    history.settings = reachable
    run_worker(history, until=lambda _: set(history.copies.find(1, 9)) == {1, 2})


async def test_copies_follow_also_while_a_hole_in_the_log_stops_the_sealing(
    history: History,
) -> None:
    await history.happen("abc")
    history.seal()
    await history.happen("def")
    history.tamper("DELETE FROM events WHERE notification_id = 5")
    run_worker(history, until=lambda health: "position 5" in (health.problem or ""))
    assert set(history.copies.find(1, 9)) == {1}


def run_worker(history: History, *, until: Callable[[Health], bool]) -> None:
    """Run the worker until its health, or what it does, is so."""
    stopping, health = threading.Event(), Health()
    worker = SealerWorker(history.database_url, history.sealer(), seal_every_s=0)
    thread = threading.Thread(target=worker.work, args=[stopping, health])
    thread.start()
    give_up_at = time.monotonic() + WITHIN_S
    while not until(health):
        assert thread.is_alive()
        assert time.monotonic() < give_up_at, health.problem
        stopping.wait(0.02)
    stopping.set()
    thread.join()


def stored(history: History, number: int) -> bytes | None:
    with history.connect() as connection:
        return seals_between(connection, number, number).get(number)


async def test_a_seal_can_be_read_with_the_public_key_alone(told: History) -> None:
    raw = stored(told, 2)
    assert raw is not None
    seal = read_seal(raw, read_public_keys(told.settings.seal_public_key_file))
    assert (seal.number, seal.first_position, seal.last_position) == (2, 7, 8)
