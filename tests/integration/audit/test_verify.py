"""Where a verification begins and ends, what it says when parts are away, and its memory."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.main import app, expected_faults
from infrastructure.audit.chains import ChainCheck
from infrastructure.audit.log import entry_of, find_events, read_range
from infrastructure.audit.report import Kind
from infrastructure.audit.seals import BadKeyError
from infrastructure.audit.verify import BEGINNING, Verified, begin_at
from infrastructure.local.ports import free_port
from tests.integration.audit.conftest import History
from tests.integration.audit.test_tampering import edit


async def test_the_next_verification_begins_after_the_last_proven_seal(told: History) -> None:
    first, reached = told.verify_from(BEGINNING)
    assert (first.events, reached.seal, reached.last_position) == (10, 2, 8)

    await told.happen("ce")
    told.seal()
    assert told.copy() == []
    second, reached = told.verify_from(reached)

    assert (second.exit_code, second.first_position, second.events) == (0, 9, 4)
    assert (second.proven_to, reached.seal) == (12, 3)


async def test_a_chain_is_checked_across_the_place_where_a_verification_begins(
    told: History,
) -> None:
    _, reached = told.verify_from(BEGINNING)
    edit(told, 9, b'"previous_hash":"', b'"previous_hash":"f')
    report, _ = told.verify_from(reached)
    fault = report.faults[0]
    assert (fault.position, fault.stream, fault.version) == (5, told.stream("b"), 2)
    assert "it or version 3, at position 9" in fault.what


async def test_a_time_is_checked_across_the_place_where_a_verification_begins(
    told: History,
) -> None:
    _, reached = told.verify_from(BEGINNING)
    told.tamper("UPDATE events SET recorded_at = '2001-01-01' WHERE notification_id = 9")
    report, _ = told.verify_from(reached)
    assert (Kind.CHAIN, 9) in [(fault.kind, fault.position) for fault in report.faults]


async def test_seals_that_are_not_the_ones_verified_before_are_named(told: History) -> None:
    _, reached = told.verify_from(BEGINNING)
    report, _ = told.verify_from(Verified(reached.seal, "0" * 64, reached.last_position))
    assert [(fault.kind, fault.seal) for fault in report.faults] == [(Kind.SEAL, 2)]
    assert report.proven_to == 0


async def test_from_a_position_the_seal_that_holds_it_is_checked_whole(told: History) -> None:
    with told.connect() as connection:
        begins = [begin_at(connection, position) for position in (1, 6, 7, 8, 9, 99)]
    assert [one.seal for one in begins] == [0, 0, 1, 1, 2, 2]
    edit(told, 7, b'"quantity":1', b'"quantity":2')
    report, _ = told.verify_from(begins[3])
    assert (report.first_position, report.faults[0].position) == (7, 7)


async def test_with_s3_away_the_rest_is_checked_and_nothing_is_called_whole(told: History) -> None:
    away(told)
    report = told.verify()
    assert (report.exit_code, report.proven_to, report.faults) == (2, 8, [])
    assert all("S3" in what for what in report.unchecked)


async def test_with_s3_away_an_edited_event_is_still_named_by_its_chain(told: History) -> None:
    edit(told, 4, b'"quantity":1', b'"quantity":2')
    away(told)
    report = told.verify()
    assert report.exit_code == 1
    assert (4, told.stream("a"), 2) in [(f.position, f.stream, f.version) for f in report.faults]


async def test_an_empty_log_has_nothing_wrong(history: History) -> None:
    report = history.verify()
    assert (report.exit_code, report.events, report.head) == (0, 0, 0)


async def test_a_shifted_log_is_named_once_per_seal_and_not_read_for_ever(
    history: History,
) -> None:
    await history.happen("abcdefgh" * 6)
    history.seal()
    assert history.copy() == []
    history.tamper("DELETE FROM events WHERE notification_id = 2")
    history.tamper(
        "UPDATE events SET notification_id = -notification_id WHERE notification_id > 2",
        "UPDATE events SET notification_id = -notification_id - 1 WHERE notification_id < 0",
    )
    report = history.verify()
    first = report.in_order()[0]
    assert (first.kind, first.position, first.stream) == (Kind.REMOVED, 2, history.stream("b"))
    assert len(report.faults) <= 8


@pytest.mark.parametrize("generation", [1, 2, 100])
async def test_chains_hold_however_few_hashes_are_kept(told: History, generation: int) -> None:
    edit(told, 4, b'"quantity":1', b'"quantity":2')
    with told.connect() as connection, connection.transaction():
        chains = ChainCheck(lambda wanted: find_events(connection, wanted), generation=generation)
        breaks = []
        for chunk in read_range(connection, 1, 10):
            for event in chunk:  # one by one, as if each began another chunk
                chains.prepare([event])
                breaks.append(chains.check(event, entry_of(event).event_hash))
    assert [one.position for one in breaks if one is not None] == [7]


async def test_the_command_says_what_is_proven_and_what_is_not(
    told: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(told, tmp_path, monkeypatch)
    done = CliRunner().invoke(app, ["audit", "verify"])
    assert done.exit_code == 0
    assert "proven: up to position 8" in done.stdout
    assert "not yet proven: positions 9 to 10" in done.stdout
    again = CliRunner().invoke(app, ["audit", "verify", "--json"])
    assert json.loads(again.stdout)["first_position"] == 9

    edit(told, 4, b'"quantity":1', b'"quantity":2')
    found = CliRunner().invoke(app, ["audit", "verify", "--full"])
    assert found.exit_code == 1
    expected = f"first fault: position 4, {told.stream('a')} version 2, seal 1: changed"
    assert found.stdout.startswith(expected)
    assert "not proven: positions 1 to 10" in found.stdout
    assert "no seal covers" not in found.stdout


async def test_a_position_that_the_log_has_not_is_no_proof(
    told: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(told, tmp_path, monkeypatch)
    done = CliRunner().invoke(app, ["audit", "verify", "--from", "1000"])
    assert done.exit_code == 2
    assert "can't be checked: position 1000: the log ends at 10" in done.stdout


async def test_the_command_seals_and_copies_at_once(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await history.happen("abc")
    command(history, tmp_path, monkeypatch)
    done = CliRunner().invoke(app, ["audit", "seal"])
    assert done.exit_code == 0
    assert "seal 1: positions 1 to 3" in done.stdout
    assert "S3 has all 1 seals" in done.stdout
    assert history.verify().proven_to == 3


async def test_without_the_database_nothing_can_be_checked_and_that_is_said(
    told: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(told, tmp_path, monkeypatch)
    monkeypatch.setenv("ORDERTRAIL_POSTGRES_URL", f"postgresql://x@127.0.0.1:{free_port()}/x")
    done = CliRunner().invoke(app, ["audit", "verify"])
    assert done.exit_code == 2
    assert done.stdout.startswith("can't be checked")


DAMAGED_KEYS: Mapping[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "garbage": lambda _: b"\xff\x00 no key",
    "cut short": lambda good: good[:-30],
    "a second one cut short": lambda good: good + good[:-30],
    "a block that is no key": lambda _: (
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
    ),
    "a block without its beginning": lambda good: good[30:],
}


@pytest.mark.parametrize("damage", DAMAGED_KEYS)
async def test_with_a_damaged_public_key_nothing_is_called_forged(
    told: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    command(told, tmp_path, monkeypatch)
    file = told.settings.seal_public_key_file
    file.write_bytes(DAMAGED_KEYS[damage](file.read_bytes()))
    done = CliRunner().invoke(app, ["audit", "verify", "--full"])
    assert done.exit_code == 2
    assert done.stdout.startswith(f"can't be checked: the public key in {file} ")
    assert "fault" not in done.stdout
    with pytest.raises(BadKeyError):
        CliRunner().invoke(app, ["audit", "seal"], catch_exceptions=False)
    assert BadKeyError in expected_faults()


def away(history: History) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    history.settings = history.settings.model_copy(update={"s3_endpoint_url": url})


def command(history: History, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment as the platform of a home would."""
    secret = history.settings.s3_secret_access_key
    assert secret is not None
    master = home / "master.key"
    master.touch()
    for name, value in {
        "HOME": home,
        "POSTGRES_URL": history.database_url,
        "MASTER_KEY_FILE": master,
        "SEAL_BUCKET": history.settings.seal_bucket,
        "SEAL_KEY_FILE": history.key_file,
        "SEAL_PUBLIC_KEY_FILE": history.settings.seal_public_key_file,
        "S3_ENDPOINT_URL": history.settings.s3_endpoint_url,
        "S3_REGION": history.settings.s3_region,
        "S3_ACCESS_KEY_ID": history.settings.s3_access_key_id,
        "S3_SECRET_ACCESS_KEY": secret.get_secret_value(),
    }.items():
        monkeypatch.setenv(f"ORDERTRAIL_{name}", str(value))
