"""The sealer signs nothing on top of what is not what it was, says so, and goes on once mended.

The log is that of `test_tampering`: 1 a1, 2 b1, 3 c1, 4 a2, 5 b2, 6 d1 | 7 a3, 8 e1 | 9 b3, 10 f1.
"""

import threading
import time
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from infrastructure.audit.footing import LogDamagedError
from infrastructure.audit.report import Kind
from infrastructure.audit.verify import BEGINNING
from infrastructure.processes.sealer import SealerWorker
from infrastructure.processes.worker import Health
from tests.integration.audit.conftest import History, away
from tests.integration.audit.test_sealing import WITHIN_S, stored
from tests.integration.audit.test_tampering import edit

SHIFT_DOWN = (
    "DELETE FROM events WHERE notification_id = 2",
    "UPDATE events SET notification_id = -notification_id WHERE notification_id > 2",
    "UPDATE events SET notification_id = -notification_id - 1 WHERE notification_id < 0",
)
FAULTS = {
    "the last sealed event was edited": (
        ["UPDATE events SET topic = 'order.placed.v9' WHERE notification_id = 8"],
        "positions 7 to 8 are not what seal 2 says",
    ),
    "the log was cut before its last seal": (
        ["DELETE FROM events WHERE notification_id >= 7"],
        "the log ends before position 8",
    ),
    "an event was taken out and the rest moved up": (
        SHIFT_DOWN,
        "positions 7 to 8 are not what seal 2 says",
    ),
    "the new range has a gap": (
        ["DELETE FROM events WHERE notification_id = 9"],
        "positions 9 to 9 are missing",
    ),
    "time goes back in the new range": (
        ["UPDATE events SET recorded_at = '2001-01-01' WHERE notification_id = 9"],
        "position 9, .* it was recorded at 2001-01-01",
    ),
    "an old event was edited on which the new range stands": (
        ["UPDATE events SET topic = 'order.cancelled.v9' WHERE notification_id = 5"],
        "position 9, .* version 3: it does not hold the hash of the version before it",
    ),
    "an old event was removed on which the new range stands": (
        ["DELETE FROM events WHERE notification_id = 5"],
        "position 9, .* version 3: version 2 of its stream is not in the log",
    ),
    "the last seal was signed by nobody": (
        ["UPDATE seals SET seal = seal || '=' WHERE number = 2"],
        "the row of seal 2 is no seal of ours",
    ),
    "the last seal is another one": (
        ["UPDATE seals SET seal = (SELECT seal FROM seals WHERE number = 1) WHERE number = 2"],
        "the row of seal 2 holds another seal",
    ),
    "the last seal is gone": (
        ["DELETE FROM seals WHERE number = 2"],
        "S3 has seal 2, and its row is gone",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_signed_on_top_of_a_fault(told: History, fault: str) -> None:
    statements, said = FAULTS[fault]
    told.tamper(*statements)
    with told.connect() as connection, pytest.raises(LogDamagedError, match=said):
        told.sealer().seal_next(connection, after_s=0)
    assert stored(told, 3) is None


async def test_events_after_the_last_seal_that_hold_each_others_hashes_are_signed(
    told: History,
) -> None:
    await told.happen("bfbg")  # predecessors in an older range, in the same one, and none
    told.seal()
    assert told.copy() == []
    report = told.verify()
    assert (report.exit_code, report.proven_to, report.head) == (0, 14, 14)


async def test_a_fault_that_nothing_new_stands_on_is_left_to_verify(told: History) -> None:
    edit(told, 3, b"White heart", b"Black heart")
    told.seal()
    assert told.first_fault().position == 3


async def test_the_worker_says_that_it_signs_nothing_and_goes_on_once_it_is_mended(
    told: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.processes.sealer.LOOK_AGAIN_S", 0.05)
    edit(told, 8, b"White heart", b"Black heart")
    stopping, health = threading.Event(), Health()
    worker = SealerWorker(told.database_url, told.sealer(), seal_every_s=0)
    thread = threading.Thread(target=worker.work, args=[stopping, health])
    thread.start()
    try:
        until(lambda: "nothing is sealed: positions 7 to 8" in (health.problem or ""))
        assert REGISTRY.get_sample_value("ordertrail_sealer_refusing") == 1
        assert stored(told, 3) is None

        edit(told, 8, b"Black heart", b"White heart")
        until(lambda: stored(told, 3) is not None)
        until(lambda: health.problem is None)
        assert REGISTRY.get_sample_value("ordertrail_sealer_refusing") == 0
    finally:
        stopping.set()
        thread.join()


async def test_what_the_sealer_refuses_a_verification_that_goes_on_from_there_names_too(
    told: History,
) -> None:
    _, reached = told.verify_from(BEGINNING)
    edit(told, 8, b"White heart", b"Black heart")
    report, _ = told.verify_from(reached)
    assert [(one.kind, one.position, one.stream) for one in report.faults] == [
        (Kind.CHANGED, 8, told.stream("e"))
    ]
    assert report.proven_to == 0, "nothing before was looked at this time"


async def test_a_log_that_was_cut_where_a_verification_begins_is_not_called_proven(
    told: History,
) -> None:
    _, reached = told.verify_from(BEGINNING)
    told.tamper("DELETE FROM events WHERE notification_id >= 8")
    report, _ = told.verify_from(reached)
    assert [(one.kind, one.position) for one in report.faults] == [(Kind.REMOVED, 8)]
    assert report.proven_to == 0, "nothing before was looked at this time"


async def test_a_sealer_that_saw_a_copy_makes_that_seal_no_second_time_with_s3_away_either(
    told: History,
) -> None:
    sealer = told.sealer()
    with told.connect() as connection:
        sealer.copy_after(connection, 0)
        told.tamper("DELETE FROM seals WHERE number = 2")
        sealer._copies = away(told)
        with pytest.raises(LogDamagedError, match="S3 has seal 2, and its row is gone"):
            sealer.seal_next(connection, after_s=0)


async def test_what_somebody_put_on_s3_before_a_seal_was_made_does_not_stop_the_sealing(
    told: History,
) -> None:
    told.copies.put(3, b"forged", None)
    told.seal()
    assert stored(told, 3) is not None


def until(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
