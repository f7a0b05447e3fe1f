"""Copies of the seals on S3, under an object lock in compliance mode.

Per seal two objects: `entries/N.jsonl.gz`, one line per event of the range (what its leaf is made
of), and `seals/N`, the seal's bytes; the seal is written last, so a seal has its entries. The
entries prove themselves by the seal's root; they are what lets a fault be named.

Rules: nothing is written over (If-None-Match), and what is read is the oldest version of a key:
the lock keeps that one, whatever is put on top of it. Objects under any other key are passed over:
whoever may write to the bucket can put them there, and a listing shows them among ours.
"""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.audit.merkle import Entry
from infrastructure.settings import CopySettings

SEALS, ENTRIES = "seals/", "entries/"
GETS_AT_ONCE = 8
TIMEOUT_S = 5.0
_json = msgspec.json.Encoder()
_lines = msgspec.json.Decoder(tuple[int, str, int, int, str, str])
_SEAL_KEY = re.compile(f"{SEALS}([0-9]{{12}})")
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")


class CopiesAwayError(Exception):
    """S3 does not answer, or not as it should."""


class CopyConflictError(Exception):
    """S3 holds something else under this number."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A seal as S3 holds it. `covered`: something, or a delete marker, was put on top of it."""

    raw: bytes
    covered: bool


def seal_key(number: int) -> str:
    return f"{SEALS}{number:012d}"


def entries_key(number: int) -> str:
    return f"{ENTRIES}{number:012d}.jsonl.gz"


class SealCopies:
    """One bucket. Every method raises CopiesAwayError if S3 does not do as it is asked."""

    def __init__(self, settings: CopySettings) -> None:
        self._bucket = settings.seal_bucket
        self._retention = timedelta(days=settings.seal_retention_days)
        secret = settings.s3_secret_access_key
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint_url,
            region_name=settings.s3_region,
            aws_access_key_id=settings.s3_access_key_id,
            aws_secret_access_key=None if secret is None else secret.get_secret_value(),
            config=Config(
                connect_timeout=TIMEOUT_S,
                read_timeout=TIMEOUT_S,
                retries={"total_max_attempts": 2},
                max_pool_connections=GETS_AT_ONCE,
                s3={"addressing_style": "path"} if settings.s3_endpoint_url else None,
            ),
        )

    def make_bucket(self) -> None:
        """Make the bucket, with its object lock, if there is none."""
        with _told():
            try:
                self._s3.create_bucket(Bucket=self._bucket, ObjectLockEnabledForBucket=True)
            except ClientError as error:
                if _code(error) != "BucketAlreadyOwnedByYou":
                    raise

    def put(self, number: int, seal: bytes, entries: bytes | None) -> None:
        """Copy a seal and, if they are to be had, its entries, unless they are there.

        Raises:
            CopyConflictError: S3 holds something else under one of the keys.
        """
        taken = None
        with _told():
            if entries is not None and not self._put(entries_key(number), entries, read_entries):
                taken = entries_key(number)
            if not self._put(seal_key(number), seal, bytes):
                taken = seal_key(number)
        if taken is not None:
            raise CopyConflictError(taken)

    def numbers_after(self, number: int) -> Iterator[int]:
        """List the numbers of the seals that S3 shows, ascending."""
        with _told():
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=SEALS, StartAfter=seal_key(number)
            )
            for page in pages:
                yield from filter(None, map(_number, page.get("Contents", ())))

    def find(self, first: int, last: int) -> Mapping[int, Copy]:
        """Read the copies of the seals `first` to `last`; those that S3 never had are left out."""
        with _told(), ThreadPoolExecutor(GETS_AT_ONCE) as threads:
            oldest, covered = self._versions(first, last)
            bodies = threads.map(lambda one: self._get(seal_key(one[0]), one[1]), oldest.items())
            return {
                number: Copy(body, number in covered)
                for number, body in zip(oldest, bodies, strict=True)
            }

    def find_entries(self, number: int) -> Sequence[Entry] | None:
        """Read what a seal's range held, as S3 has it; None if it has nothing that can be read.

        Nothing is proven by it: whoever asks compares their root with the seal's.
        """
        key = entries_key(number)
        with _told():
            pages = self._s3.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=key
            )
            versions = [
                item["VersionId"]
                for page in pages
                for item in page.get("Versions", ())
                if item["Key"] == key
            ]
            if not versions:
                return None
            body = self._get(key, versions[-1])  # the newest come first
        return read_entries(body)

    def _versions(self, first: int, last: int) -> tuple[Mapping[int, str], set[int]]:
        """Give the oldest version of each seal, and which seals have more than that."""
        oldest: dict[int, str] = {}
        covered: set[int] = set()
        pages = self._s3.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=SEALS, KeyMarker=seal_key(first - 1)
        )
        for page in pages:
            numbers = [0]
            for item in page.get("Versions", ()):  # of one key, the newest come first
                numbers.append(number := _number(item))
                if number in oldest:
                    covered.add(number)
                oldest[number] = item["VersionId"]
            covered |= {_number(item) for item in page.get("DeleteMarkers", ())}
            if max(numbers) > last:
                break
        return {number: oldest[number] for number in oldest if first <= number <= last}, covered

    def _put(self, key: str, body: bytes, read: Callable[[bytes], object]) -> bool:
        """Write an object, unless it is there; False if something is there that reads otherwise."""
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                IfNoneMatch="*",
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=datetime.now(UTC) + self._retention,
            )
        except ClientError as error:
            if _code(error) not in _TAKEN:
                raise
            return read(self._get(key)) == read(body)
        return True

    def _get(self, key: str, version: str | None = None) -> bytes:
        which = {} if version is None else {"VersionId": version}
        body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key, **which)["Body"].read()
        return body


def write_entries(entries: Sequence[Entry]) -> bytes:
    """Write entries, gzipped: per line position, stream, version, time, order and hash in hex."""
    lines = [
        _json.encode((*entry[:4], entry.order_id.hex(), entry.event_hash.hex()))
        for entry in entries
    ]
    return gzip.compress(b"\n".join(lines), compresslevel=6, mtime=0)


def read_entries(body: bytes) -> Sequence[Entry] | None:
    """Read entries; None if they can't be read."""
    try:
        return [_entry(line) for line in gzip.decompress(body).split(b"\n")]
    except (OSError, EOFError, zlib.error, ValueError):
        return None


def _entry(line: bytes) -> Entry:
    position, stream, version, recorded_us, order_id, event_hash = _lines.decode(line)
    return Entry(
        position, stream, version, recorded_us, bytes.fromhex(order_id), bytes.fromhex(event_hash)
    )


def _number(item: Mapping[str, Any]) -> int:
    """Read a key; 0, which no seal has, for one that is not of ours."""
    found = _SEAL_KEY.fullmatch(item["Key"])
    return int(found[1]) if found else 0


def _code(error: ClientError) -> str:
    code: str = error.response.get("Error", {}).get("Code", "")
    return code


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise CopiesAwayError(f"S3: {error}") from error
