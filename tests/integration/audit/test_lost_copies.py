"""Copies that S3 had and has no longer are told, and made anew only when somebody asks for it."""

import secrets
import threading
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from api.cli.main import app
from infrastructure.audit.copies import SealCopies, seal_key
from infrastructure.audit.report import Kind
from infrastructure.audit.verify import BEGINNING
from infrastructure.processes.sealer import SealerWorker
from infrastructure.processes.worker import Health
from tests.integration.audit.conftest import History
from tests.integration.audit.test_footing import until
from tests.integration.audit.test_sealing import stored
from tests.integration.audit.test_verify import command


@pytest.fixture
async def sealed(history: History) -> History:
    """Give a history of three seals; the third says that S3 had the first two."""
    sealer = history.sealer()
    with history.connect() as connection:
        for letter in "abc":
            await history.happen(letter)
            sealer.seal_next(connection, after_s=0)
            assert not sealer.copy_after(connection, 0).faults
    return history


def wipe(history: History) -> None:
    """Put an empty bucket in the place of the one there was; a lock keeps that one's objects."""
    bucket = f"seals-{secrets.token_hex(6)}"
    history.settings = history.settings.model_copy(update={"seal_bucket": bucket})
    SealCopies(history.settings).make_bucket()


async def test_a_wiped_s3_is_told_and_not_filled_again_by_itself(sealed: History) -> None:
    wipe(sealed)
    with sealed.connect() as connection:
        looked = sealed.sealer().copy_after(connection, 0)
    assert looked.gone == [1, 2]
    assert set(sealed.copies.find(1, 9)) == {3}, "of the newest, nothing says that it was there"


async def test_a_verification_names_what_s3_has_lost_at_once_and_goes_on(sealed: History) -> None:
    wipe(sealed)
    report = sealed.verify()
    assert [(one.kind, one.seal) for one in report.faults] == [(Kind.COPY, 1)]
    assert "S3 had copies of 2 seals, up to 2" in report.faults[0].what
    assert (report.proven_to, report.not_copied_yet, report.stopped) == (3, 1, False)


async def test_a_verification_that_goes_on_from_the_last_seal_notices_a_wiped_s3_too(
    sealed: History,
) -> None:
    _, reached = sealed.verify_from(BEGINNING)
    assert reached.seal == 3
    wipe(sealed)
    report, _ = sealed.verify_from(reached)
    assert [(one.kind, one.seal) for one in report.faults] == [(Kind.COPY, 2)]


async def test_one_copy_that_is_hidden_is_told(sealed: History) -> None:
    where = {"Bucket": sealed.settings.seal_bucket, "Key": seal_key(1)}
    sealed.s3.delete_object(**where)
    with sealed.connect() as connection:
        assert sealed.sealer().copy_after(connection, 0).gone == [1]
    assert sealed.s3.list_object_versions(Bucket=where["Bucket"])["DeleteMarkers"]


async def test_one_copy_that_is_hidden_is_not_covered_by_another(sealed: History) -> None:
    """That would be locked, and a fault, for as long as the first is."""
    where = {"Bucket": sealed.settings.seal_bucket, "Key": seal_key(1)}
    marker = sealed.s3.delete_object(**where)["VersionId"]
    with sealed.connect() as connection:
        looked = sealed.sealer().copy_after(connection, 0, refill=True)
    assert [(one.number, "delete marker" in one.what) for one in looked.faults] == [(1, True)]
    sealed.s3.delete_object(**where, VersionId=marker)
    assert sealed.verify().exit_code == 0


async def test_the_command_says_what_is_gone_and_refills_it_only_when_it_is_told_to(
    sealed: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wipe(sealed)
    command(sealed, tmp_path, monkeypatch)
    told = CliRunner().invoke(app, ["audit", "seal"])
    assert told.exit_code == 1
    assert "S3 had copies of 2 seals, from 1 to 2, and has lost" in told.stderr
    assert set(sealed.copies.find(1, 9)) == {3}

    done = CliRunner().invoke(app, ["audit", "seal", "--refill-copies"])
    assert (done.exit_code, "S3 has all 3 seals" in done.stdout) == (0, True)
    assert set(sealed.copies.find(1, 9)) == {1, 2, 3}
    assert sealed.verify().exit_code == 0


async def test_a_seal_says_that_s3_has_those_before_it_only_if_all_were_seen_there(
    history: History,
) -> None:
    sealer = history.sealer()
    with history.connect() as connection:
        copied = []
        for letter in "abcd":
            await history.happen(letter)
            seal = sealer.seal_next(connection, after_s=0)
            assert seal is not None
            copied.append(seal.copied)
            if letter == "b":
                sealer.copy_after(connection, 0)
        assert copied == [0, 0, 2, 2]
        await history.happen("e")
        another = history.sealer().seal_next(connection, after_s=0)
    assert another is not None
    assert another.copied == 2, "who has not looked yet says what was said before"


async def test_a_sealer_that_runs_while_s3_is_wiped_notices_it_with_its_next_seal(
    sealed: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.processes.sealer.LOOK_FOR_GONE_S", 0.05)
    stopping, health = threading.Event(), Health()
    sealer = sealed.sealer()
    worker = SealerWorker(sealed.database_url, sealer, seal_every_s=0)
    thread = threading.Thread(target=worker.work, args=[stopping, health])
    thread.start()
    try:
        until(lambda: health.problem is None)
        wipe(sealed)
        sealer._copies = sealed.copies
        await sealed.happen("d")
        until(lambda: "S3 has lost copies of 3 seals" in (health.problem or ""))
        assert REGISTRY.get_sample_value("ordertrail_sealer_copies_gone") == 3
        until(lambda: set(sealed.copies.find(1, 9)) == {4})

        with sealed.connect() as connection:
            sealed.sealer().copy_after(connection, 0, refill=True)
        until(lambda: health.problem is None)
        assert REGISTRY.get_sample_value("ordertrail_sealer_copies_gone") == 0
    finally:
        stopping.set()
        thread.join()
    assert stored(sealed, 4) is not None
