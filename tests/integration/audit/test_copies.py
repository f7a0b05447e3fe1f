"""What the copies are trusted for, shown on the S3 that `up` starts: locked, once, and kept."""

import gzip
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import botocore.exceptions
import pytest
from pydantic import SecretStr

from infrastructure.audit.copies import (
    CopiesAwayError,
    CopyConflictError,
    SealCopies,
    entries_key,
    read_entries,
    seal_key,
    write_entries,
)
from infrastructure.audit.merkle import Entry
from infrastructure.audit.report import Kind
from infrastructure.local.ports import free_port
from infrastructure.local.program import running
from infrastructure.local.s3 import INNER_PORTS, S3Server
from tests.integration.audit.conftest import History
from tests.integration.audit.test_tampering import edit


def test_what_is_copied_is_found_and_copying_it_again_changes_nothing(history: History) -> None:
    for _ in range(2):
        history.copies.put(1, b"seal", b"entries")
    assert history.copies.find(1, 1)[1].raw == b"seal"
    assert not history.copies.find(1, 1)[1].covered


def test_other_bytes_under_a_number_are_refused(history: History) -> None:
    history.copies.put(1, b"seal", None)
    with pytest.raises(CopyConflictError):
        history.copies.put(1, b"other", None)
    assert history.copies.find(1, 1)[1].raw == b"seal"


def test_entries_that_were_packed_otherwise_are_the_same_entries(history: History) -> None:
    packed = write_entries([Entry(1, "order-1", 1, 0, b"", b"h" * 32)])
    history.copies.put(1, b"seal", gzip.compress(gzip.decompress(packed), compresslevel=1))
    history.copies.put(1, b"seal", packed)


def test_a_seal_is_copied_also_where_its_entries_are_taken(history: History) -> None:
    where = {"Bucket": history.settings.seal_bucket, "Key": entries_key(1)}
    history.s3.put_object(**where, Body=b"other")
    with pytest.raises(CopyConflictError, match=entries_key(1)):
        history.copies.put(1, b"seal", write_entries([Entry(1, "order-1", 1, 0, b"", b"h" * 32)]))
    assert history.copies.find(1, 1)[1].raw == b"seal"


def test_the_lock_keeps_a_copy_even_from_who_has_all_rights(history: History) -> None:
    history.copies.put(1, b"seal", None)
    where = {"Bucket": history.settings.seal_bucket, "Key": seal_key(1)}
    version = history.s3.head_object(**where)["VersionId"]
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        history.s3.delete_object(**where, VersionId=version, BypassGovernanceRetention=True)
    assert history.copies.find(1, 1)[1].raw == b"seal"


@pytest.mark.parametrize(
    "cover",
    [
        lambda s3, where: s3.put_object(**where, Body=b"other"),
        lambda s3, where: s3.delete_object(**where),
    ],
    ids=["another version", "a delete marker"],
)
def test_what_is_put_on_top_of_a_copy_is_seen_and_not_believed(
    history: History, cover: Callable[[object, dict[str, str]], None]
) -> None:
    history.copies.put(1, b"seal", None)
    cover(history.s3, {"Bucket": history.settings.seal_bucket, "Key": seal_key(1)})
    found = history.copies.find(1, 1)[1]
    assert (found.raw, found.covered) == (b"seal", True)


def test_copies_are_found_by_number_across_pages(history: History) -> None:
    for number in range(1, 13):
        history.copies.put(number, b"%d" % number, None)
    assert {n: one.raw for n, one in history.copies.find(3, 11).items()} == {
        number: b"%d" % number for number in range(3, 12)
    }
    assert list(history.copies.numbers_after(9)) == [10, 11, 12]


NEIGHBORS = ("README", "1", "999", "00000000000x", "0000000000001", "000000000001.x", "\u0661" * 12)
"""What else may stand where the seals are; some would be a number, and one of them a seal's."""


@pytest.mark.parametrize("name", NEIGHBORS)
def test_other_keys_among_the_seals_are_passed_over(history: History, name: str) -> None:
    history.s3.put_object(Bucket=history.settings.seal_bucket, Key=f"seals/{name}", Body=b"x")
    history.copies.put(1, b"seal", None)
    assert list(history.copies.numbers_after(0)) == [1]
    assert {n: one.raw for n, one in history.copies.find(1, 1000).items()} == {1: b"seal"}
    assert not history.copies.find(1, 1)[1].covered


def test_entries_are_of_exactly_their_key_and_of_its_oldest_version(history: History) -> None:
    entries = [Entry(1, "order-1", 1, 0, b"", b"h" * 32)]
    history.copies.put(1, b"seal", write_entries(entries))
    for key in (entries_key(1), f"{entries_key(1)}.x"):
        history.s3.put_object(Bucket=history.settings.seal_bucket, Key=key, Body=b"x")
    assert history.copies.find_entries(1) == entries
    history.s3.put_object(Bucket=history.settings.seal_bucket, Key=f"{entries_key(2)}.x", Body=b"x")
    assert history.copies.find_entries(2) is None


async def test_keys_beside_the_copies_blind_no_verification(told: History) -> None:
    for key in ("seals/1", "seals/2.x", "seals/999", f"{entries_key(1)}.x"):
        told.s3.put_object(Bucket=told.settings.seal_bucket, Key=key, Body=b"x")
    assert told.verify().exit_code == 0
    edit(told, 4, b'"quantity":1', b'"quantity":2')
    fault = told.first_fault()
    assert (fault.kind, fault.position, fault.stream) == (Kind.CHANGED, 4, told.stream("a"))
    assert told.verify().unchecked == []


def test_s3_away_is_one_kind_of_error(history: History) -> None:
    away = history.settings.model_copy(
        update={"s3_endpoint_url": f"http://127.0.0.1:{free_port()}"}
    )
    with pytest.raises(CopiesAwayError):
        SealCopies(away).find(1, 1)


def test_making_the_bucket_again_is_harmless(history: History) -> None:
    history.copies.put(1, b"seal", None)
    history.copies.make_bucket()
    assert set(history.copies.find(1, 1)) == {1}


def test_a_killed_s3_still_has_what_it_acknowledged(history: History, tmp_path: Path) -> None:
    ports: list[int] = []
    for _ in range(1 + len(INNER_PORTS)):
        ports.append(free_port(avoid=ports))
    server = S3Server(tmp_path / "s3", ports[0], ports[1:], secrets.token_hex(16))
    settings = history.settings.model_copy(
        update={
            "s3_endpoint_url": server.endpoint_url,
            "s3_secret_access_key": SecretStr(server.secret),
        }
    )
    with running(server, tmp_path / "s3.log") as process:
        SealCopies(settings).make_bucket()
        SealCopies(settings).put(1, b"seal", b"entries" * 50_000)
        process.kill()
    with running(server, tmp_path / "s3.log"):
        assert SealCopies(settings).find(1, 1)[1].raw == b"seal"


def test_entries_are_read_as_they_were_written() -> None:
    entries = [
        Entry(n, f"order-{n}", 1, -n, bytes(16) if n % 2 else b"", b"h" * 32) for n in (1, 2)
    ]
    assert read_entries(write_entries(entries)) == entries


@pytest.mark.parametrize("body", [b"", b"no gzip", write_entries([])[:-3]])
def test_entries_that_can_not_be_read_are_none(body: bytes) -> None:
    assert read_entries(body) is None


async def test_a_missing_copy_is_named_once_it_had_its_time(
    told: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    await told.happen("g")
    told.seal()
    assert told.verify().not_copied_yet == 1
    monkeypatch.setattr("infrastructure.audit.seal_walk.COPIED_WITHIN", timedelta(0))
    assert [(fault.kind, fault.seal) for fault in told.verify().faults] == [(Kind.COPY, 3)]


async def test_a_replaced_copy_is_named_and_the_locked_one_proves_the_range(told: History) -> None:
    told.s3.put_object(Bucket=told.settings.seal_bucket, Key=seal_key(2), Body=b"forged")
    report = told.verify()
    assert [(fault.kind, fault.seal) for fault in report.faults] == [(Kind.COPY, 2)]
    assert report.proven_to == 8


async def test_a_forged_copy_that_was_there_first_is_named(history: History) -> None:
    await history.happen("abc")
    history.seal()
    history.copies.put(1, b"forged\n", None)
    whats = [fault.what for fault in history.verify().faults]
    assert any("its copy on S3 is no seal of ours" in what for what in whats)
