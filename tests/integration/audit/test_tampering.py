"""Each way to falsify the history, once, by hand, in SQL: it is found, and named.

The log is: 1 a1, 2 b1, 3 c1, 4 a2, 5 b2, 6 d1 | 7 a3, 8 e1 | 9 b3, 10 f1. Seals end at the bars;
what is after the last one is protected by the chains only.
"""

from pathlib import Path

import msgspec
import psycopg
import pytest

from infrastructure.audit.footing import LogDamagedError
from infrastructure.audit.log import find_events
from infrastructure.audit.report import Fault, Kind
from infrastructure.audit.seals import new_signing_key
from infrastructure.audit.verify import BEGINNING
from infrastructure.event_store.mapper import event_hash
from tests.integration.audit.conftest import History, away

MOVE_UP = (
    "UPDATE events SET notification_id = notification_id + 1000 WHERE notification_id >= %(at)s",
    "UPDATE events SET notification_id = notification_id - 999 WHERE notification_id > 1000",
)


def named(fault: Fault) -> tuple[Kind, int | None, str | None, int | None]:
    return fault.kind, fault.position, fault.stream, fault.version


async def test_a_history_that_nobody_touched_is_proven_to_its_last_seal(told: History) -> None:
    report = told.verify()
    assert report.exit_code == 0
    assert (report.events, report.seals, report.proven_to, report.head) == (10, 2, 8, 10)


async def test_an_edited_payload_is_named(told: History) -> None:
    edit(told, 4, b'"quantity":1', b'"quantity":2')
    assert named(told.first_fault()) == (Kind.CHANGED, 4, told.stream("a"), 2)


async def test_an_edited_payload_of_a_streams_last_event_is_named(told: History) -> None:
    edit(told, 6, b"White heart", b"Black heart")
    assert named(told.first_fault()) == (Kind.CHANGED, 6, told.stream("d"), 1)


async def test_an_edited_envelope_is_named(told: History) -> None:
    edit(told, 5, b'"subject":"shop"', b'"subject":"shoe"')
    assert named(told.first_fault()) == (Kind.CHANGED, 5, told.stream("b"), 2)


async def test_an_edit_after_the_last_seal_is_found_once_another_event_follows(
    told: History,
) -> None:
    await told.happen("f")
    edit(told, 10, b"White heart", b"Black heart")
    fault = told.first_fault()
    assert named(fault) == (Kind.CHANGED, 10, told.stream("f"), 1)
    assert "it or version 2, at position 11" in fault.what


async def test_the_edited_one_is_named_also_where_the_other_end_of_the_break_is_not_sealed(
    told: History,
) -> None:
    edit(told, 9, b'"previous_hash":"', b'"previous_hash":"f')
    assert named(told.first_fault()) == (Kind.CHANGED, 9, told.stream("b"), 3)


async def test_a_state_that_is_no_state_any_more_is_named(told: History) -> None:
    told.tamper("UPDATE events SET state = '\\x00' WHERE notification_id = 10")
    assert named(told.first_fault()) == (Kind.CHAIN, 10, told.stream("f"), 1)


async def test_a_hash_that_is_no_text_any_more_is_named(told: History) -> None:
    told.tamper(
        "UPDATE events SET state = overlay(state PLACING '\\xff' FROM"
        ' position(\'"previous_hash":"\'::bytea IN state) + 17) WHERE notification_id = 10'
    )
    assert named(told.first_fault()) == (Kind.CHAIN, 10, told.stream("f"), 1)


async def test_another_event_name_is_named(told: History) -> None:
    told.tamper("UPDATE events SET topic = 'order.placed.v1' WHERE notification_id = 3")
    assert named(told.first_fault()) == (Kind.CHANGED, 3, told.stream("c"), 1)


async def test_an_edited_recorded_at_is_named_with_both_times(told: History) -> None:
    told.tamper(
        "UPDATE events SET recorded_at = recorded_at + interval '1 microsecond'"
        " WHERE notification_id = 8"
    )
    fault = told.first_fault()
    assert named(fault) == (Kind.CHANGED, 8, told.stream("e"), 1)
    assert "recorded_at was" in fault.what


async def test_a_time_that_no_calendar_has_is_a_finding_and_no_crash(told: History) -> None:
    told.tamper("UPDATE events SET recorded_at = 'infinity' WHERE notification_id = 3")
    assert named(told.first_fault()) == (Kind.CHANGED, 3, told.stream("c"), 1)


async def test_a_time_that_goes_back_after_the_last_seal_is_named(told: History) -> None:
    told.tamper("UPDATE events SET recorded_at = '2001-01-01' WHERE notification_id = 10")
    assert named(told.first_fault()) == (Kind.CHAIN, 10, told.stream("f"), 1)


async def test_an_event_given_to_another_order_is_named(told: History) -> None:
    told.tamper(
        "UPDATE events SET order_id = %(other)s WHERE notification_id = 3",
        other=told.orders["a"],
    )
    fault = told.first_fault()
    assert named(fault) == (Kind.CHANGED, 3, told.stream("c"), 1)
    assert str(told.orders["c"]) in fault.what


async def test_a_deleted_event_is_named(told: History) -> None:
    told.tamper("DELETE FROM events WHERE notification_id = 4")
    assert named(told.first_fault()) == (Kind.REMOVED, 4, told.stream("a"), 2)


async def test_a_deleted_event_whose_place_was_closed_up_is_named(told: History) -> None:
    told.tamper(
        "DELETE FROM events WHERE notification_id = 3",
        "UPDATE events SET notification_id = -notification_id WHERE notification_id > 3",
        "UPDATE events SET notification_id = -notification_id - 1 WHERE notification_id < 0",
    )
    assert named(told.first_fault()) == (Kind.REMOVED, 3, told.stream("c"), 1)


async def test_a_deleted_event_after_the_last_seal_is_named(told: History) -> None:
    told.tamper("DELETE FROM events WHERE notification_id = 9")
    assert named(told.first_fault()) == (Kind.REMOVED, 9, None, None)
    assert "positions 9 to 9 are missing" in told.first_fault().what


async def test_a_deleted_event_that_another_follows_is_named_by_its_stream(told: History) -> None:
    await told.happen("b")
    told.tamper("DELETE FROM events WHERE notification_id = 9")
    assert (Kind.REMOVED, None, told.stream("b"), 3) in [
        named(fault) for fault in told.verify().faults
    ]


async def test_an_inserted_event_is_named(told: History) -> None:
    told.tamper(
        *(statement.replace("%%", "%") for statement in MOVE_UP),
        "INSERT INTO events SELECT 'order-' || gen_random_uuid(), 1, topic, state, %(at)s,"
        " recorded_at, order_id FROM events WHERE notification_id = 2",
        at=3,
    )
    fault = told.first_fault()
    assert fault.kind is Kind.INSERTED
    assert (fault.position, fault.version) == (3, 1)
    assert fault.stream not in {told.stream(letter) for letter in told.orders}


async def test_an_event_inserted_into_a_stream_after_the_last_seal_is_named(
    told: History,
) -> None:
    told.tamper(
        "INSERT INTO events SELECT originator_id, 2, topic, state, 11, recorded_at, order_id"
        " FROM events WHERE notification_id = 10"
    )
    assert (Kind.CHANGED, 10, told.stream("f"), 1) == named(told.first_fault())


@pytest.mark.parametrize("position", [0, -1, None])
async def test_an_event_before_the_first_position_is_named_and_not_sealed_over(
    told: History, position: int | None
) -> None:
    """Whoever reads the log by position never comes by it; whoever loads its stream does."""
    told.tamper(
        "ALTER TABLE events ALTER notification_id DROP NOT NULL",
        "INSERT INTO events SELECT originator_id, 2, topic, state, %(at)s, recorded_at, order_id"
        " FROM events WHERE notification_id = 10",
        at=position,
    )
    assert named(told.first_fault()) == (Kind.INSERTED, position, told.stream("f"), 2)
    assert told.verify_from(told.verify_from(BEGINNING)[1])[0].exit_code == 1
    with pytest.raises(LogDamagedError):
        told.seal()


async def test_two_swapped_events_are_named(told: History) -> None:
    told.tamper(
        "UPDATE events SET notification_id = 99 WHERE notification_id = 2",
        "UPDATE events SET notification_id = 2 WHERE notification_id = 5",
        "UPDATE events SET notification_id = 5 WHERE notification_id = 99",
    )
    fault = told.first_fault()
    assert named(fault) == (Kind.REORDERED, 2, told.stream("b"), 1)
    assert "now at position 5" in fault.what


async def test_two_swapped_events_of_a_stream_after_the_last_seal_are_named(told: History) -> None:
    await told.happen("f")
    told.tamper(
        "UPDATE events SET notification_id = 99 WHERE notification_id = 10",
        "UPDATE events SET notification_id = 10 WHERE notification_id = 11",
        "UPDATE events SET notification_id = 11 WHERE notification_id = 99",
    )
    fault = told.first_fault()
    assert named(fault) == (Kind.CHAIN, 10, told.stream("f"), 2)
    assert "stands after it" in fault.what


async def test_a_stream_cut_at_its_end_is_named(told: History) -> None:
    told.tamper(
        "DELETE FROM events WHERE originator_id = %(a)s AND originator_version > 1",
        a=told.stream("a"),
    )
    report = told.verify()
    assert [named(fault) for fault in report.in_order()] == [
        (Kind.REMOVED, 4, told.stream("a"), 2),
        (Kind.REMOVED, 7, told.stream("a"), 3),
    ]


async def test_a_whole_stream_that_is_gone_is_named(told: History) -> None:
    told.tamper("DELETE FROM events WHERE originator_id = %(c)s", c=told.stream("c"))
    assert [named(fault) for fault in told.verify().faults] == [
        (Kind.REMOVED, 3, told.stream("c"), 1)
    ]


async def test_a_log_cut_at_its_end_before_a_seal_is_named(told: History) -> None:
    told.tamper("DELETE FROM events WHERE notification_id >= 7")
    report = told.verify()
    assert named(report.in_order()[0]) == (Kind.REMOVED, 7, told.stream("a"), 3)
    assert report.proven_to == 6


async def test_a_log_cut_together_with_its_seal_is_named_by_the_copy(told: History) -> None:
    told.tamper(
        "DELETE FROM events WHERE notification_id >= 7", "DELETE FROM seals WHERE number = 2"
    )
    faults = told.verify().in_order()
    assert named(faults[0]) == (Kind.REMOVED, 7, told.stream("a"), 3)
    assert (faults[1].kind, faults[1].seal) == (Kind.SEAL, 2)


async def test_a_log_cut_after_its_last_seal_can_not_be_told_and_is_not_called_proven(
    told: History,
) -> None:
    told.tamper("DELETE FROM events WHERE notification_id = 10")
    report = told.verify()
    assert (report.exit_code, report.proven_to, report.head) == (0, 8, 9)


async def test_chains_and_seals_rewritten_with_another_key_are_found_by_the_copies(
    told: History, tmp_path: Path
) -> None:
    rewrite(told, tmp_path)
    faults = told.verify().in_order()
    assert named(faults[0]) == (Kind.CHANGED, 4, told.stream("a"), 2)
    assert {(fault.kind, fault.seal) for fault in faults[2:]} >= {(Kind.SEAL, 1), (Kind.COPY, 1)}


async def test_seals_rewritten_by_who_has_the_key_are_found_by_the_copies(
    told: History, tmp_path: Path
) -> None:
    rewrite(told, tmp_path, signed=True)
    faults = told.verify().in_order()
    assert named(faults[0]) == (Kind.CHANGED, 4, told.stream("a"), 2)
    assert [(fault.kind, fault.seal) for fault in faults[2:]] == [(Kind.COPY, 1), (Kind.COPY, 2)]


async def test_seals_that_nobody_signed_are_named(told: History) -> None:
    told.tamper(
        "UPDATE seals SET seal = convert_to(regexp_replace(convert_from(seal, 'UTF8'),"
        " '\\n.*', E'\\nAAAA\\n'), 'UTF8')"
    )
    faults = told.verify().faults
    assert {(fault.kind, fault.seal) for fault in faults} == {
        (kind, seal) for kind in (Kind.SEAL, Kind.COPY) for seal in (1, 2)
    }


async def test_a_seals_row_with_other_positions_than_were_signed_is_named(told: History) -> None:
    told.tamper("UPDATE seals SET first_position = first_position + 1 WHERE number = 2")
    assert [(fault.kind, fault.seal) for fault in told.verify().faults] == [(Kind.SEAL, 2)]


async def test_a_deleted_seal_row_is_named(told: History) -> None:
    told.tamper("DELETE FROM seals WHERE number = 1")
    report = told.verify()
    assert [(fault.kind, fault.seal) for fault in report.faults] == [(Kind.SEAL, 1)]
    assert report.proven_to == 8, "its copy proves the range"


async def test_a_seal_in_the_place_of_another_is_named(told: History) -> None:
    told.tamper(
        "UPDATE seals SET seal = (SELECT seal FROM seals WHERE number = 1) WHERE number = 2"
    )
    assert (Kind.SEAL, 2) in [(fault.kind, fault.seal) for fault in told.verify().faults]


async def test_a_row_of_a_seal_that_can_not_be_is_named_and_not_counted_up_to(
    told: History,
) -> None:
    told.tamper("INSERT INTO seals VALUES (1000000000000, 9, 9, 'forged')")
    report = told.verify()
    assert (Kind.SEAL, 3) in [(fault.kind, fault.seal) for fault in report.faults]
    assert report.proven_to == 8


def edit(history: History, position: int, old: bytes, new: bytes) -> None:
    with history.connect() as connection:
        query = "SELECT state FROM events WHERE notification_id = %s"
        row = connection.execute(query, [position]).fetchone()
    assert row is not None
    assert old in row[0], "there would be nothing to find"
    history.tamper(
        "UPDATE events SET state = replace(convert_from(state, 'UTF8'), %(old)s, %(new)s)::bytea"
        " WHERE notification_id = %(position)s",
        old=old.decode(),
        new=new.decode(),
        position=position,
    )


def rewrite(history: History, folder: Path, *, signed: bool = False) -> None:
    """Edit a2, chain a3 to it anew, and seal everything again, as if it had always been so."""
    edit(history, 4, b'"quantity":1', b'"quantity":2')
    with history.connect() as connection:
        changed = find_events(connection, [(history.stream("a"), 2)])[history.stream("a"), 2]
        new = event_hash(changed.stream, changed.version, changed.type, changed.state).hex()
        following = find_events(connection, [(history.stream("a"), 3)])[history.stream("a"), 3]
    state = msgspec.json.decode(following.state)
    edit(history, 7, state["previous_hash"].encode(), new.encode())
    history.tamper("DELETE FROM seals")
    other = folder / "other.key"
    other.write_text(new_signing_key())
    with psycopg.connect(history.database_url, autocommit=True) as connection:
        key = None if signed else other
        for seal_events in (6, 2):
            sealer = history.sealer(key, seal_events)
            sealer._copies = away(history)  # ours would refuse: it asks S3
            sealer._public_keys = {sealer._key_id: sealer._key.public_key()}
            sealer.seal_next(connection, after_s=0)
